/* Something with libxc's functions that is not a libxc that libxcnet knows: of another version
   (-DMAJOR=8), or with another layout of its structures. */

#include <stdlib.h>
#include <string.h>

#include "libxc_api.h"

#ifndef MAJOR
#define MAJOR 6
#endif

#define xc_version real_version
#define xc_func_alloc real_alloc
#define xc_func_init real_init
#define xc_func_free real_free

#define RETURN_NONE(result, none, name, parameters, arguments) \
    result name parameters \
    { \
        return none; \
    }
#define DO_NOTHING(FAMILY, name, OUT) \
    void name(const xc_func_type *p, size_t np FAMILY##_INPUTS(IN_PARAMETER) \
                  OUT(FAMILY, OUT_PARAMETER)) \
    { \
    }

INFO_FUNCTIONS(RETURN_NONE)
FORWARDED_FUNCTIONS(RETURN_NONE)
EVALUATION_FUNCTIONS(DO_NOTHING)

#undef xc_version
#undef xc_func_alloc
#undef xc_func_init
#undef xc_func_free

void xc_version(int *major, int *minor, int *micro)
{
    *major = MAJOR;
    *minor = *micro = 0;
}

xc_func_type *xc_func_alloc(void)
{
    return calloc(1, 4096);
}

/* The info is not at the start. */
int xc_func_init(xc_func_type *p, int functional, int nspin)
{
    ((int *)p)[0] = functional;
    ((int *)p)[1] = nspin;
    return 0;
}

void xc_func_free(xc_func_type *p)
{
    free(p);
}
