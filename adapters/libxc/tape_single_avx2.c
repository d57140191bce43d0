/* The kernels for one point, in AVX2. */
#ifdef __x86_64__
#define TAPE_SINGLE
#define TAPE_TABLE tape_single_avx2
#include "tape_kernels.h"
#endif
