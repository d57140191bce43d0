/* How an entry point hands a call over that is not xcnet's. */

#ifndef XCNET_ENTRY_H
#define XCNET_ENTRY_H

#include "internal.h"

/* The caller's own libxc, or the value that stands for its absence. */
#define HAND_OVER(none, name, ...) \
    do { \
        __typeof__(&name) real = REAL(CALLER_HOST, name); \
        return real ? real(__VA_ARGS__) : none; \
    } while (0)
#define HAND_OVER_VOID(name, ...) \
    do { \
        __typeof__(&name) real = REAL(CALLER_HOST, name); \
        if (real) \
            real(__VA_ARGS__); \
    } while (0)

#endif
