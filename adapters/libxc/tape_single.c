/* The kernels for one point. */
#define TAPE_SINGLE
#define TAPE_TABLE tape_single_portable
#include "tape_kernels.h"
