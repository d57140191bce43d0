#define TAPE_TABLE tape_kernels_portable
#include "tape_kernels.h"
