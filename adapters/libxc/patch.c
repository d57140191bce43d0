/* Redirecting the imports of a loaded object: the slots of its global offset table (GOT) that
   the loader filled, or will fill, with libxc's functions. */

#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

#if defined(__x86_64__)
enum { JUMP_SLOT = R_X86_64_JUMP_SLOT, GLOB_DAT = R_X86_64_GLOB_DAT };
#elif defined(__aarch64__)
enum { JUMP_SLOT = R_AARCH64_JUMP_SLOT, GLOB_DAT = R_AARCH64_GLOB_DAT };
#else
enum { JUMP_SLOT = -1, GLOB_DAT = -1 }; /* no slot is recognised: patching says so */
#endif

/* This library's functions by libxc's names. */
static const struct {
    const char *name;
    void *function;
} OWN[FUNCTIONS] = {
#define FUNCTION_ENTRY(result, none, name, parameters, arguments) \
    [F_##name] = {#name, (void *)name},
#define EVALUATION_ENTRY(FAMILY, name, OUT) [F_##name] = {#name, (void *)name},
    INFO_FUNCTIONS(FUNCTION_ENTRY)
    FORWARDED_FUNCTIONS(FUNCTION_ENTRY)
    EVALUATION_FUNCTIONS(EVALUATION_ENTRY)
};

struct patched_slot {
    void **address;
    void *former;
};

struct patch {
    struct patch *next;
    char *path; /* the object's */
    struct patched_slot *slots;
    int count;
};

/* The loaded object that is meant, and what to do with it. */
struct target {
    const char *path_part;
    int matches;
    struct dl_phdr_info object;
};

static struct patch *patches; /* guarded by the lock */

/* -- the object ------------------------------------------------------------------------------- */

static int find_object(struct dl_phdr_info *object, size_t size, void *argument)
{
    (void)size;
    struct target *target = argument;
    if (object->dlpi_name[0] && strstr(object->dlpi_name, target->path_part)) {
        target->matches++;
        target->object = *object;
    }
    return 0;
}

static bool find_target(struct target *target)
{
    if (!target->path_part || !target->path_part[0]) {
        fail("an object to patch is named by a part of its path");
        return false;
    }
    dl_iterate_phdr(find_object, target);
    if (target->matches == 1)
        return true;
    fail(target->matches ? "more than one loaded object has %s in its path"
                         : "no loaded object has %s in its path",
         target->path_part);
    return false;
}

static const ElfW(Phdr) *segment(const struct dl_phdr_info *object, ElfW(Word) type)
{
    for (int i = 0; i < object->dlpi_phnum; i++)
        if (object->dlpi_phdr[i].p_type == type)
            return &object->dlpi_phdr[i];
    return NULL;
}

/* The tables of its dynamic section; some loaders leave addresses relative to the object. */
struct tables {
    ElfW(Addr) symbols, strings, jump, rela;
    size_t jump_size, rela_size;
};

static ElfW(Addr) absolute(const struct dl_phdr_info *object, ElfW(Addr) address)
{
    return address < object->dlpi_addr ? object->dlpi_addr + address : address;
}

static struct tables read_tables(const struct dl_phdr_info *object)
{
    struct tables t = {0};
    const ElfW(Phdr) *dynamic = segment(object, PT_DYNAMIC);
    if (!dynamic)
        return t;
    for (const ElfW(Dyn) *d = (const void *)(object->dlpi_addr + dynamic->p_vaddr); d->d_tag; d++) {
        switch (d->d_tag) {
        case DT_SYMTAB: t.symbols = absolute(object, d->d_un.d_ptr); break;
        case DT_STRTAB: t.strings = absolute(object, d->d_un.d_ptr); break;
        case DT_JMPREL: t.jump = absolute(object, d->d_un.d_ptr); break;
        case DT_PLTRELSZ: t.jump_size = d->d_un.d_val; break;
        case DT_RELA: t.rela = absolute(object, d->d_un.d_ptr); break;
        case DT_RELASZ: t.rela_size = d->d_un.d_val; break;
        default: break;
        }
    }
    return t;
}

/* -- writing slots ---------------------------------------------------------------------------- */

/* After relocation the loader makes part of the GOT read-only (RELRO): it is again afterwards. */
static bool write_slot(const struct dl_phdr_info *object, void **slot, void *value)
{
    const ElfW(Phdr) *relro = segment(object, PT_GNU_RELRO);
    uintptr_t size = (uintptr_t)sysconf(_SC_PAGESIZE), page = (uintptr_t)slot & ~(size - 1);
    uintptr_t start = relro ? object->dlpi_addr + relro->p_vaddr : 0;
    bool read_only = relro && (uintptr_t)slot >= (start & ~(size - 1)) &&
                     (uintptr_t)slot < ((start + relro->p_memsz) & ~(size - 1));
    if (read_only && mprotect((void *)page, size, PROT_READ | PROT_WRITE) != 0) {
        fail("%s cannot be patched: %s", object->dlpi_name, strerror(errno));
        return false;
    }
    __atomic_store_n(slot, value, __ATOMIC_RELEASE);
    if (read_only)
        mprotect((void *)page, size, PROT_READ);
    return true;
}

static void *own_function(const char *name)
{
    for (int i = 0; i < FUNCTIONS; i++)
        if (strcmp(OWN[i].name, name) == 0)
            return OWN[i].function;
    return NULL;
}

static bool patch_slot(struct patch *patch, const struct dl_phdr_info *object,
                       const struct tables *tables, ElfW(Addr) offset, ElfW(Xword) info)
{
    int type = (int)ELF64_R_TYPE(info);
    if (type != JUMP_SLOT && type != GLOB_DAT)
        return true;
    const ElfW(Sym) *symbol = (const ElfW(Sym) *)tables->symbols + ELF64_R_SYM(info);
    const char *name = (const char *)tables->strings + symbol->st_name;
    if (strncmp(name, "xc_", 3) != 0 || symbol->st_shndx != SHN_UNDEF)
        return true;
    void *own = own_function(name), **slot = (void **)(object->dlpi_addr + offset);
    if (!own)
        return true;
    struct patched_slot *slots = realloc(patch->slots, (size_t)(patch->count + 1) * sizeof *slots);
    if (!slots) {
        fail("%s cannot be patched: out of memory", object->dlpi_name);
        return false;
    }
    patch->slots = slots;
    slots[patch->count++] = (struct patched_slot){slot, *slot};
    return write_slot(object, slot, own);
}

static bool patch_table(struct patch *patch, const struct dl_phdr_info *object,
                        const struct tables *tables, ElfW(Addr) table, size_t size)
{
    const ElfW(Rela) *entries = (const void *)table;
    for (size_t i = 0; table && i < size / sizeof *entries; i++)
        if (!patch_slot(patch, object, tables, entries[i].r_offset, entries[i].r_info))
            return false;
    return true;
}

static void restore(const struct patch *patch, const struct dl_phdr_info *object)
{
    for (int i = patch->count; i-- > 0;)
        write_slot(object, patch->slots[i].address, patch->slots[i].former);
}

static void forget(struct patch *patch)
{
    free(patch->path);
    free(patch->slots);
    free(patch);
}

/* -- entry points ----------------------------------------------------------------------------- */

static struct patch **patch_of(const char *path)
{
    struct patch **at = &patches;
    while (*at && strcmp((*at)->path, path) != 0)
        at = &(*at)->next;
    return at;
}

static struct patch *patch_object(const struct dl_phdr_info *object)
{
    struct patch *patch = calloc(1, sizeof *patch);
    if (!patch || !(patch->path = strdup(object->dlpi_name))) {
        free(patch);
        fail("%s cannot be patched: out of memory", object->dlpi_name);
        return NULL;
    }
    struct tables t = read_tables(object);
    bool good = patch_table(patch, object, &t, t.jump, t.jump_size) &&
                patch_table(patch, object, &t, t.rela, t.rela_size);
    if (good && patch->count)
        return patch;
    if (good)
        fail("%s imports nothing of libxc: it has none, or one linked into it", object->dlpi_name);
    restore(patch, object);
    forget(patch);
    return NULL;
}

/* An address inside the object, whose libxc is then looked up as that of a caller. */
static bool object_is_usable(const struct dl_phdr_info *object)
{
    const ElfW(Phdr) *code = segment(object, PT_LOAD);
    return host_is_usable(host_of((const void *)(object->dlpi_addr + code->p_vaddr)));
}

EXPORT int xcnet_patch_object(const char *path_part, int *slots)
{
    struct target target = {.path_part = path_part};
    if (slots)
        *slots = 0;
    if (!find_target(&target) || !object_is_usable(&target.object))
        return -1;
    lock();
    struct patch **at = patch_of(target.object.dlpi_name);
    if (!*at)
        *at = patch_object(&target.object);
    int count = *at ? (*at)->count : -1;
    unlock();
    if (slots && count > 0)
        *slots = count;
    return count > 0 ? 0 : -1;
}

EXPORT int xcnet_unpatch_object(const char *path_part)
{
    struct target target = {.path_part = path_part};
    if (!find_target(&target))
        return -1;
    lock();
    struct patch **at = patch_of(target.object.dlpi_name), *patch = *at;
    if (patch) {
        restore(patch, &target.object);
        *at = patch->next;
        forget(patch);
    } else {
        fail("%s is not patched", target.object.dlpi_name);
    }
    unlock();
    return patch ? 0 : -1;
}
