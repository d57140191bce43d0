/* Evaluates a tape under sanitizers, and then damaged ones whose hash fits: `tape FILE DENSITIES
   COUNT TRIALS`; DENSITIES has COUNT points, all components of the first input, of the second... */

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "tape.h"

enum { MOST_BYTES = 1 << 24, HASH_BYTES = 32 };

/* In place of the library's own, which takes its lock. */
void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
}

static unsigned char *whole(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    unsigned char *bytes = malloc(MOST_BYTES);
    *size = file && bytes ? fread(bytes, 1, MOST_BYTES, file) : 0;
    if (file)
        fclose(file);
    return bytes;
}

static void seal(unsigned char *bytes, size_t size)
{
    char hex[65], pair[3] = {0};
    sha256_hex(bytes, size - HASH_BYTES, hex);
    for (size_t i = 0; i < HASH_BYTES; i++) {
        memcpy(pair, hex + 2 * i, 2);
        bytes[size - HASH_BYTES + i] = (unsigned char)strtoul(pair, NULL, 16);
    }
}

/* Evaluates n points; every array is as long as it has to be and no longer. */
static void run(const struct tape *tape, size_t n, const double *densities, size_t count)
{
    double **arrays = calloc(tape->inputs + tape->outputs, sizeof *arrays);
    for (uint32_t i = 0; i < tape->inputs + tape->outputs; i++) {
        size_t width = tape->tensors[i].width;
        arrays[i] = calloc(n * width, sizeof(double));
        for (size_t k = 0; i < tape->inputs && k < n * width; k++)
            arrays[i][k] = densities[k % count];
        densities += i < tape->inputs && count > n * width ? n * width : 0;
        count -= i < tape->inputs && count > n * width ? n * width : 0;
    }
    if (!tape_run(tape, n, (const double *const *)arrays, arrays + tape->inputs))
        exit(3);
    for (uint32_t i = 0; i < tape->inputs + tape->outputs; i++)
        free(arrays[i]);
    free(arrays);
}

static void evaluate_all(const struct tape *tape, const double *densities, size_t count)
{
    static const size_t sizes[] = {1, 2, 7, 8, 9, 64, 65, 200};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        run(tape, sizes[i], densities, count);
}

int main(int argc, char **argv)
{
    size_t size, count;
    const char *problem = NULL;
    unsigned char *bytes = whole(argv[1], &size);
    double *densities = (double *)(void *)whole(argv[2], &count);
    count /= sizeof *densities;
    struct tape *tape = argc == 4 ? tape_open(bytes, size, &problem) : NULL;
    if (!tape)
        return 1;
    evaluate_all(tape, densities, count);
    tape_close(tape);
    long refused = 0, trials = atol(argv[3]);
    srand(1);
    for (long trial = 0; trial < trials; trial++) {
        unsigned char *damaged = malloc(size);
        memcpy(damaged, bytes, size);
        for (int i = 0; i < 1 + trial % 3; i++) {
            int32_t word = rand() % 4 ? rand() % 300 : (int32_t)((uint32_t)rand() * 2654435761u);
            size_t at = (size_t)rand() % ((size - HASH_BYTES) / sizeof word) * sizeof word;
            memcpy(damaged + at, &word, sizeof word);
        }
        seal(damaged, size);
        tape = tape_open(damaged, size, &problem);
        refused += !tape;
        if (tape)
            run(tape, 9, densities, count);
        tape_close(tape);
        free(damaged);
    }
    printf("%ld of %ld refused\n", refused, trials);
    free(bytes);
    free(densities);
    return 0;
}
