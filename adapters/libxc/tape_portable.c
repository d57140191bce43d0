/* The kernels in what every processor has. */
#define TAPE_TABLE tape_kernels_portable
#include "tape_kernels.h"
