/* Handles: libxc's own object, made by the real libxc from a template of the family, whose info
   is replaced by ours while it lives.

   All infos lie in one reserved region, so that an address tells whether a handle is ours. A
   released slot rests before it is used again: hosts may read an info after the end. */

#include <stdlib.h>
#include <sys/mman.h>

#include "internal.h"

enum { CAPACITY = 1 << 16, RESTING = 64 };

static struct handle *_Atomic region;
static size_t used;                  /* slots ever used; with what follows guarded by the lock */
static struct handle *first, *last; /* released slots, oldest first */
static size_t resting;

static struct handle *slot_of(const void *address)
{
    struct handle *start = atomic_load_explicit(&region, memory_order_acquire);
    uintptr_t offset = (uintptr_t)address - (uintptr_t)start;
    if (!start || offset >= CAPACITY * sizeof *start)
        return NULL;
    return &start[offset / sizeof *start];
}

struct handle *own_handle(const xc_func_type *p)
{
    struct handle *slot = p ? slot_of(*(void *const *)p) : NULL;
    return slot && atomic_load_explicit(&slot->active, memory_order_acquire) ? slot : NULL;
}

bool is_own_info(const xc_func_info_type *info)
{
    return slot_of(info) != NULL;
}

bool is_own_reference(const func_reference_type *reference)
{
    return slot_of(reference) != NULL;
}

static struct handle *reserve(void)
{
    void *memory = mmap(NULL, CAPACITY * sizeof(struct handle), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static struct handle *take_slot(void)
{
    struct handle *start = atomic_load_explicit(&region, memory_order_relaxed);
    if (!start) {
        start = reserve();
        if (!start)
            return NULL;
        atomic_store_explicit(&region, start, memory_order_release);
    }
    if (used < CAPACITY && resting < RESTING)
        return &start[used++];
    struct handle *slot = first;
    if (slot) {
        first = slot->next;
        resting--;
    }
    return slot;
}

static void release_slot(struct handle *slot)
{
    atomic_store_explicit(&slot->active, false, memory_order_release);
    slot->next = NULL;
    if (resting++)
        last->next = slot;
    else
        first = slot;
    last = slot;
}

static int template_of(int family)
{
    switch (family) {
    case FAMILY_LDA:
    case FAMILY_HYB_LDA:
        return LDA_X;
    case FAMILY_GGA:
    case FAMILY_HYB_GGA:
        return GGA_X_PBE;
    default:
        return MGGA_X_TPSS;
    }
}

static void describe(struct handle *slot, const struct record *record)
{
    slot->info = (xc_func_info_type){
        .number = record->number,
        .kind = record->kind,
        .name = record->description,
        .family = record->family,
        .flags = record->flags,
        .dens_threshold = record->thresholds.density,
    };
    for (int i = 0; i < record->reference_count; i++) {
        slot->references[i] = record->references[i];
        slot->info.refs[i] = &slot->references[i];
    }
}

/* What every host evaluates is opened at once, so that a bad model stops it here; the larger
   graphs of higher derivatives, which few ask for, and those of a closed shell's points at a
   floor are opened when they are asked for. */
static bool models_are_good(const struct record *record, int nspin)
{
    bool closed = nspin == UNPOLARIZED && record->closed_shell[0];
    for (int order = 0; order < record->orders; order++) {
        struct model *model = closed ? record->closed_shell[order] : record->models[order];
        if (order < 2 ? !model_open(model, record->name, closed ? UNPOLARIZED : POLARIZED)
                      : !model_check(model, record->name))
            return false;
        if (closed && !model_check(record->models[order], record->name))
            return false;
    }
    return true;
}

/* Small numbers are given by hand, and libxc grows. */
static bool number_is_free(const struct host *host, const struct record *record)
{
    if (REAL(host, xc_family_from_id)(record->number, NULL, NULL) == FAMILY_UNKNOWN)
        return true;
    fail("%s: its number %d is that of a functional of libxc %s", record->name, record->number,
         REAL(host, xc_version_string)());
    return false;
}

/* Under the lock. */
static struct handle *open_slot(const struct host *host, xc_func_type *p,
                                const struct record *record, int nspin)
{
    struct handle *slot = take_slot();
    if (!slot) {
        fail("%s: too many functionals at once", record->name);
        return NULL;
    }
    int template = template_of(record->family);
    if (REAL(host, xc_func_init)(p, template, nspin) != 0) {
        fail("%s: libxc cannot initialise its functional %d", record->name, template);
        release_slot(slot);
        return NULL;
    }
    REAL(host, xc_func_set_dens_threshold)(p, record->thresholds.density);
    *slot = (struct handle){
        .record = record,
        .host = host,
        .template_info = *(void **)p,
        .nspin = nspin,
        .enforce_fhc = record->enforce_fhc,
        .thresholds = record->thresholds,
        .cache = {.busy = ATOMIC_FLAG_INIT},
    };
    describe(slot, record);
    *(void **)p = &slot->info;
    atomic_store_explicit(&slot->active, true, memory_order_release);
    return slot;
}

/* Some programs do not look at the result. Wherever possible a refused functional has an info
   nevertheless, and can be ended; evaluating it is what stops such a program. */
int handle_open(struct host *host, xc_func_type *p, struct record *record, int nspin)
{
    struct handle *slot = NULL;
    *(void **)p = NULL;
    lock();
    if (nspin != UNPOLARIZED && nspin != POLARIZED)
        fail("%s: the number of spins must be 1 or 2, not %d", record->name, nspin);
    else if (host_is_usable(host))
        slot = open_slot(host, p, record, nspin);
    bool serves = slot && number_is_free(host, record) && record_is_local(record) &&
                  record_prepare(record) && models_are_good(record, nspin);
    if (slot) {
        slot->refused = !serves;
        catalogue_use(serves);
    }
    unlock();
    return serves ? 0 : -1;
}

void handle_close(struct handle *handle, xc_func_type *p)
{
    lock();
    *(const void **)p = handle->template_info;
    const struct host *host = handle->host;
    cache_drop(&handle->cache);
    catalogue_use(handle->refused ? 0 : -1);
    release_slot(handle);
    unlock();
    REAL(host, xc_func_end)(p);
}
