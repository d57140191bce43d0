/* The kernels in AVX2. */
#ifdef __x86_64__
#define TAPE_TABLE tape_kernels_avx2
#include "tape_kernels.h"
#endif
