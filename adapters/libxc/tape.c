/* Evaluation of tapes: blocks of points through the kernels of the best instruction set. */

#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "tape.h"

/* Rows of a block, together, stay within this: the second-level cache has more. */
enum { SCRATCH_BYTES = 1 << 18, MOST_POINTS = 64, TILE = 8 };

/* Environment variable that names instructions in place of the best ones of this machine, so
   that all machines of a run round alike. */
#define TARGET_VARIABLE "XCNET_INSTRUCTIONS"

struct target {
    const char *name;
    tape_kernel *const *kernels;
    tape_single_runner *run_single;
    bool is_there;
};

static const struct target *choose(void)
{
    static struct target targets[] = {
#ifdef __x86_64__
        {"avx512", tape_kernels_avx512, tape_single_avx2, false},
        {"avx2", tape_kernels_avx2, tape_single_avx2, false},
#endif
        {"portable", tape_kernels_portable, tape_single_portable, true},
    };
    enum { COUNT = sizeof targets / sizeof *targets };
#ifdef __x86_64__
    __builtin_cpu_init();
    targets[0].is_there = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                           __builtin_cpu_supports("avx512vl");
    targets[1].is_there = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    const char *given = getenv(TARGET_VARIABLE);
    for (size_t i = 0; i < COUNT; i++)
        if (targets[i].is_there && (!given || !given[0] || strcmp(given, targets[i].name) == 0))
            return &targets[i];
    fail("%s=%s: this machine has no such instructions; the portable ones are used",
         TARGET_VARIABLE, given);
    return &targets[COUNT - 1];
}

static const struct target *target(void)
{
    static const struct target *_Atomic chosen;
    const struct target *found = atomic_load_explicit(&chosen, memory_order_acquire);
    if (!found) {
        found = choose();
        atomic_store_explicit(&chosen, found, memory_order_release);
    }
    return found;
}

const char *tape_target(void)
{
    return target()->name;
}

static size_t round_up(size_t n)
{
    return (n + TAPE_LANES - 1) / TAPE_LANES * TAPE_LANES;
}

static size_t block_points(const struct tape *tape)
{
    size_t most = SCRATCH_BYTES / sizeof(double) / (tape->rows + 1) / TAPE_LANES * TAPE_LANES;
    return most < TAPE_LANES ? TAPE_LANES : most > MOST_POINTS ? MOST_POINTS : most;
}

/* The tape whose constants lie in this thread's memory for single points; 0: none. */
static _Thread_local unsigned long at_hand;

bool tape_prepare_single(struct tape *tape)
{
    static atomic_ulong last;
    tape->serial = atomic_fetch_add(&last, 1) + 1;
    tape->single = calloc(tape->steps + 1, sizeof *tape->single);
    for (uint32_t i = 0; tape->single && i < tape->steps; i++) {
        const struct tape_step *step = &tape->step[i];
        struct tape_single *single = &tape->single[i];
        uint32_t several = step->count > 1 ? TAPE_OPERATORS : 0;
        *single = (struct tape_single){.step = step,
                                       .kernel = step->operator + several,
                                       .first = step->first,
                                       .count = step->count};
        for (int o = 0; o < TAPE_OPERANDS; o++) {
            const struct tape_operand *operand = &step->operands[o];
            single->operands[o] = operand->index + (operand->is_constant ? tape->rows : 0);
            single->advances[o] = operand->advances;
        }
    }
    if (tape->single)
        tape->single[tape->steps].kernel = 2 * TAPE_OPERATORS;
    return tape->single != NULL;
}

/* Whether components from the c-th on are rows that lie beside each other at each point. Wide
   tensors are turned in tiles, whose lines of cache are used whole. */
static bool is_tile(const struct tape_tensor *tensor, uint32_t c)
{
    if (c + TILE > tensor->width)
        return false;
    for (uint32_t k = 0; k < TILE; k++)
        if (tensor->places[c + k] < 0)
            return false;
    return true;
}

static void read_tile(const int32_t *places, size_t n, size_t rounded, size_t width,
                      const double *values, double *scratch)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < TILE; k++)
            scratch[(size_t)places[k] * rounded + i] = values[i * width + k];
    for (size_t k = 0; k < TILE; k++)
        for (size_t i = n; i < rounded; i++)
            scratch[(size_t)places[k] * rounded + i] = values[(n - 1) * width + k];
}

static void write_tile(const int32_t *places, size_t n, size_t rounded, size_t width,
                       double *values, const double *scratch)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < TILE; k++)
            values[i * width + k] = scratch[(size_t)places[k] * rounded + i];
}

/* Components of n points into the rows of a block of `rounded`. */
static void read_inputs(const struct tape *tape, size_t first, size_t n, size_t rounded,
                        const double *const *inputs, double *scratch)
{
    for (uint32_t t = 0; t < tape->inputs; t++) {
        const struct tape_tensor *tensor = &tape->tensors[t];
        const double *values = inputs[t] + first * tensor->width;
        for (uint32_t c = 0; c < tensor->width; c++) {
            const int32_t *places = tensor->places + c;
            if (is_tile(tensor, c)) {
                read_tile(places, n, rounded, tensor->width, values + c, scratch);
                c += TILE - 1;
                continue;
            }
            if (*places < 0)
                continue;
            double *row = scratch + (size_t)*places * rounded;
            for (size_t i = 0; i < n; i++)
                row[i] = values[i * tensor->width + c];
            for (size_t i = n; i < rounded; i++)
                row[i] = row[n - 1];
        }
    }
}

static void write_outputs(const struct tape *tape, size_t first, size_t n, size_t rounded,
                          double *const *outputs, const double *scratch)
{
    for (uint32_t t = 0; t < tape->outputs; t++) {
        const struct tape_tensor *tensor = &tape->tensors[tape->inputs + t];
        double *values = outputs[t] + first * tensor->width;
        for (uint32_t c = 0; outputs[t] && c < tensor->width; c++) {
            const int32_t *places = tensor->places + c;
            if (is_tile(tensor, c)) {
                write_tile(places, n, rounded, tensor->width, values + c, scratch);
                c += TILE - 1;
                continue;
            }
            const double *row = *places < 0
                                    ? tape->constant_values + TAPE_LANES * (size_t)~*places
                                    : scratch + (size_t)*places * rounded;
            size_t step = *places < 0 ? 0 : 1;
            for (size_t i = 0; i < n; i++)
                values[i * tensor->width + c] = row[i * step];
        }
    }
}

static bool run_single(const struct tape *tape, const double *const *inputs,
                       double *const *outputs)
{
    size_t count = (size_t)tape->rows + tape->constants + TAPE_ROOM; /* vectors end behind it */
    double *numbers = workspace(WORK_TAPE, count * sizeof *numbers);
    if (numbers && at_hand != tape->serial)
        memcpy(numbers + tape->rows, tape->constant_numbers, tape->constants * sizeof *numbers);
    at_hand = numbers ? tape->serial : 0;
    if (!numbers)
        return false;
    read_inputs(tape, 0, 1, 1, inputs, numbers);
    target()->run_single(tape->single, numbers);
    write_outputs(tape, 0, 1, 1, outputs, numbers);
    return true;
}

bool tape_run(const struct tape *tape, size_t n, const double *const *inputs,
              double *const *outputs)
{
    if (n == 1)
        return run_single(tape, inputs, outputs);
    at_hand = 0;
    size_t points = block_points(tape), rounded = round_up(n);
    points = rounded < points ? rounded : points;
    size_t scratch_bytes = points * tape->rows * sizeof(double);
    char *scratch = workspace(WORK_TAPE, scratch_bytes + tape->most_terms * sizeof(char *));
    if (!scratch)
        return false;
    tape_kernel *const *kernels = target()->kernels;
    struct tape_frame frame = {tape, scratch, 0, (const char **)(void *)(scratch + scratch_bytes)};
    for (size_t first = 0; first < n; first += points) {
        size_t live = n - first < points ? n - first : points;
        rounded = round_up(live);
        frame.row_bytes = rounded * sizeof(double);
        read_inputs(tape, first, live, rounded, inputs, (double *)(void *)scratch);
        const struct tape_step *end = tape->step + tape->steps;
        for (const struct tape_step *step = tape->step; step < end; step++)
            kernels[step->operator](step, &frame);
        write_outputs(tape, first, live, rounded, outputs, (const double *)(void *)scratch);
    }
    return true;
}
