/* The kernels in AVX-512. */
#ifdef __x86_64__
#define TAPE_TABLE tape_kernels_avx512
#include "tape_kernels.h"
#endif
