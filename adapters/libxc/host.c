/* The libxc of the object that calls.

   One process may hold several copies of libxc (PySCF's and Psi4's, say) whose structures
   differ, so a call is handed to the copy that the calling object would have bound to without
   this library: that of its own dependencies, else the next one in the global scope, else the one
   that XCNET_LIBXC names, else any that is loaded. */

#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define PBE_NAME "Perdew, Burke & Ernzerhof"

static const char *const NAMES[FUNCTIONS] = {
#define FUNCTION_ENTRY(result, none, name, parameters, arguments) [F_##name] = #name,
#define EVALUATION_ENTRY(FAMILY, name, OUT) [F_##name] = #name,
    INFO_FUNCTIONS(FUNCTION_ENTRY)
    FORWARDED_FUNCTIONS(FUNCTION_ENTRY)
    EVALUATION_FUNCTIONS(EVALUATION_ENTRY)
};

enum { MAX_HOSTS = 16, MAX_CALLERS = 128 };

struct caller {
    uintptr_t low, high;
    struct host *host;
};

static struct host *hosts[MAX_HOSTS];
static int host_count;
static struct caller callers[MAX_CALLERS];
static _Atomic int caller_count;
static struct host no_host;

/* -- finding ---------------------------------------------------------------------------------- */

/* A function that is not of this library. */
static void *foreign(void *handle, const char *name)
{
    Dl_info self, info;
    void *found = handle ? dlsym(handle, name) : NULL;
    bool own = found && dladdr(NAMES, &self) && dladdr(found, &info) &&
               self.dli_fbase == info.dli_fbase;
    return own ? NULL : found;
}

static void *loaded_object(const char *path)
{
    return dlopen(path, RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD);
}

/* A loaded object, found by an address in it or by its position. */
struct search {
    uintptr_t address, low, high;
    int position;
    char *path; /* NULL: not found */
};

static int visit(struct dl_phdr_info *object, size_t size, void *argument)
{
    (void)size;
    struct search *search = argument;
    uintptr_t low = UINTPTR_MAX, high = 0;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD)
            continue;
        uintptr_t start = object->dlpi_addr + segment->p_vaddr;
        low = start < low ? start : low;
        high = start + segment->p_memsz > high ? start + segment->p_memsz : high;
    }
    if (search->address < low || search->address >= high)
        return 0;
    search->low = low;
    search->high = high;
    search->path = strdup(object->dlpi_name);
    return 1;
}

static int visit_position(struct dl_phdr_info *object, size_t size, void *argument)
{
    (void)size;
    struct search *search = argument;
    if (search->position-- > 0)
        return 0;
    search->path = strdup(object->dlpi_name);
    return 1;
}

/* Handle of the first loaded object that reaches a libxc. Objects are not opened while they are
   listed: both take the loader's locks, in different order. */
static void *any_libxc(void)
{
    for (int i = 0;; i++) {
        struct search search = {.position = i};
        dl_iterate_phdr(visit_position, &search);
        if (!search.path)
            return NULL;
        void *handle = search.path[0] ? loaded_object(search.path) : NULL;
        free(search.path);
        if (foreign(handle, "xc_func_init"))
            return handle;
        if (handle)
            dlclose(handle);
    }
}

/* Handle through which the caller's libxc is reached. A handle keeps its object loaded, so that
   its addresses stay its own. */
static void *find_libxc(const char *caller_path)
{
    void *handle = caller_path && caller_path[0] ? loaded_object(caller_path) : NULL;
    if (foreign(handle, "xc_func_init"))
        return handle;
    Dl_info info;
    void *next = dlsym(RTLD_NEXT, "xc_func_init");
    handle = next && dladdr(next, &info) ? loaded_object(info.dli_fname) : NULL;
    if (foreign(handle, "xc_func_init"))
        return handle;
    const char *given = getenv("XCNET_LIBXC");
    handle = given && given[0] ? dlopen(given, RTLD_LAZY | RTLD_LOCAL) : NULL;
    return foreign(handle, "xc_func_init") ? handle : any_libxc();
}

static struct host *make_host(void *handle)
{
    struct host *host = calloc(1, sizeof *host);
    if (!host)
        return NULL;
    for (int i = 0; i < FUNCTIONS; i++)
        host->functions[i] = foreign(handle, NAMES[i]);
    struct search search = {.address = (uintptr_t)host->functions[F_xc_func_init]};
    dl_iterate_phdr(visit, &search);
    host->low = search.low;
    host->high = search.high;
    host->path = search.path;
    return host;
}

/* Under the lock: the host with the same functions that is known already, or this one. */
static struct host *registered(struct host *host)
{
    for (int i = 0; i < host_count; i++)
        if (hosts[i]->functions[F_xc_func_init] == host->functions[F_xc_func_init]) {
            free(host->path);
            free(host);
            return hosts[i];
        }
    if (host_count < MAX_HOSTS)
        hosts[host_count++] = host;
    return host;
}

static void remember(struct caller caller)
{
    int count = atomic_load_explicit(&caller_count, memory_order_relaxed);
    if (caller.high && count < MAX_CALLERS) { /* generated code belongs to no object */
        callers[count] = caller;
        atomic_store_explicit(&caller_count, count + 1, memory_order_release);
    }
}

static struct host *known(uintptr_t address)
{
    int count = atomic_load_explicit(&caller_count, memory_order_acquire);
    for (int i = 0; i < count; i++)
        if (address >= callers[i].low && address < callers[i].high)
            return callers[i].host;
    return NULL;
}

/* The search takes the loader's lock, so programs get here before ours is taken. Only libxc's own
   calls while it initialises a functional for us come with it. */
struct host *host_of(const void *address)
{
    struct host *host = known((uintptr_t)address);
    if (host)
        return host;
    struct search search = {.address = (uintptr_t)address};
    dl_iterate_phdr(visit, &search);
    void *handle = find_libxc(search.path);
    free(search.path);
    struct host *made = handle ? make_host(handle) : NULL;
    if (!made) {
        fail("libxc not found: no loaded library has xc_func_init. The program must be linked "
             "dynamically to libxc 5, 6 or 7, or XCNET_LIBXC must name one");
        return &no_host;
    }
    lock();
    host = known((uintptr_t)address);
    if (host) {
        free(made->path);
        free(made);
    } else {
        host = registered(made);
        remember((struct caller){search.low, search.high, host});
    }
    unlock();
    return host;
}

/* -- checking --------------------------------------------------------------------------------- */

/* Some functions are not in every version from 5 to 7. */
static const char *wrong_functions(const struct host *host)
{
    static const bool optional[FUNCTIONS] = {
        [F_xc_hyb_type] = true,
        [F_xc_reference_key] = true,
        [F_xc_func_reference_get_key] = true,
        [F_xc_func_set_fhc_enforcement] = true,
        [F_xc_func_get_ext_params] = true,
        [F_xc_func_get_ext_params_name] = true,
        [F_xc_func_get_ext_params_value] = true,
    };
    int major = 0, minor = 0, micro = 0;
    for (int i = 0; i < FUNCTIONS; i++)
        if (!host->functions[i] && !optional[i])
            return NAMES[i];
    REAL(host, xc_version)(&major, &minor, &micro);
    return major < 5 || major > 7 ? "a version from 5 to 7" : NULL;
}

/* Offset 0 of a handle is its info, whose first members are where this library writes them. */
static const char *wrong_layout(const struct host *host, xc_func_type *p, int nspin)
{
    if (REAL(host, xc_func_init)(p, GGA_X_PBE, nspin) != 0)
        return "an exchange functional of PBE";
    const xc_func_info_type *info = *(void **)p;
    const char *problem = NULL;
    if (info != REAL(host, xc_func_get_info)(p))
        problem = "the info at the start of xc_func_type";
    else if (info->number != GGA_X_PBE || info->number != REAL(host, xc_func_info_get_number)(info))
        problem = "the number in its place";
    else if (info->kind != KIND_EXCHANGE || info->family != FAMILY_GGA)
        problem = "kind and family in their places";
    else if (info->name != REAL(host, xc_func_info_get_name)(info) ||
             strcmp(info->name, PBE_NAME) != 0)
        problem = "the name in its place";
    else if (!info->refs[0] ||
             info->refs[0] != REAL(host, xc_func_info_get_references)(info, 0) ||
             info->refs[0]->doi != REAL(host, xc_func_reference_get_doi)(info->refs[0]))
        problem = "the references in their places";
    else if (info->flags != REAL(host, xc_func_info_get_flags)(info) ||
             !(info->flags & FLAGS_HAVE_EXC))
        problem = "the flags in their place";
    REAL(host, xc_func_end)(p);
    return problem;
}

static const char *wrong(const struct host *host)
{
    const char *problem = wrong_functions(host);
    if (problem)
        return problem;
    xc_func_type *p = REAL(host, xc_func_alloc)();
    if (!p)
        return "a functional's memory";
    problem = wrong_layout(host, p, UNPOLARIZED);
    if (!problem)
        problem = wrong_layout(host, p, POLARIZED);
    REAL(host, xc_func_free)(p);
    return problem;
}

bool host_is_usable(struct host *host)
{
    if (!host->functions[F_xc_func_init])
        return false;
    if (atomic_load(&host->usable))
        return true;
    const char *problem = wrong(host);
    if (problem)
        fail("xcnet's functionals cannot be used with the libxc at %s: it lacks %s",
             host->path ? host->path : "an unknown path", problem);
    atomic_store(&host->usable, !problem);
    return !problem;
}
