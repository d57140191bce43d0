/* Tapes for Python, which clamps and folds itself. */

#include "internal.h"
#include "tape.h"

EXPORT void *xcnet_tape_open(const unsigned char *bytes, size_t size, const char **problem)
{
    return tape_open(bytes, size, problem);
}

EXPORT void xcnet_tape_close(void *tape)
{
    tape_close(tape);
}

EXPORT int xcnet_tape_run(const void *tape, size_t n, const double *const *inputs,
                          double *const *outputs)
{
    return tape_run(tape, n, inputs, outputs) ? 0 : -1;
}

EXPORT const char *xcnet_tape_instructions(void)
{
    return tape_target();
}
