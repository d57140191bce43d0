/* The kernels of one instruction set: compiled once each from tape_portable.c, tape_avx2.c and
   tape_avx512.c, which name the table (TAPE_TABLE).

   With TAPE_SINGLE, kernels for a single point: rows are single numbers, so that the results of a
   layer are neighbours, and vectors go across them. Every number passes through the same operations
   as in a block. */

#include "tape.h"

#ifdef TAPE_SINGLE
#ifdef __AVX2__
enum { VECTOR_BYTES = 32 };
#else
enum { VECTOR_BYTES = 16 };
#endif
#elif defined(__AVX512F__) && defined(__AVX512DQ__)
enum { VECTOR_BYTES = 64, TILE_ROWS = 4, TILE_VECTORS = 4 };
#elif defined(__AVX2__)
enum { VECTOR_BYTES = 32, TILE_ROWS = 4, TILE_VECTORS = 2 };
#else
enum { VECTOR_BYTES = 16, TILE_ROWS = 2, TILE_VECTORS = 2 };
#endif

typedef double vector __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef int64_t integers __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef uint64_t naturals __attribute__((vector_size(VECTOR_BYTES), may_alias));

#if defined(__AVX512F__) && defined(__AVX512DQ__) && !defined(TAPE_SINGLE)
#include <immintrin.h>
#define HAVE_FMA
static inline vector fused(vector a, vector b, vector c)
{
    return (vector)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
}
static inline vector root(vector x)
{
    return (vector)_mm512_sqrt_pd((__m512d)x);
}
static inline bool any(integers mask)
{
    return _mm512_movepi64_mask((__m512i)mask) != 0;
}
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define HAVE_FMA
static inline vector fused(vector a, vector b, vector c)
{
    return (vector)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
}
static inline vector root(vector x)
{
    return (vector)_mm256_sqrt_pd((__m256d)x);
}
static inline bool any(integers mask)
{
    return _mm256_movemask_pd((__m256d)mask) != 0;
}
#else
static inline vector fused(vector a, vector b, vector c)
{
    return a * b + c;
}
static inline vector root(vector x)
{
    for (size_t lane = 0; lane < sizeof x / sizeof(double); lane++)
        x[lane] = __builtin_sqrt(x[lane]);
    return x;
}
#endif

#include "tape_math.h"

enum { SINGLE_TILE = 3 };

#define ALWAYS_INLINE inline __attribute__((always_inline))

static ALWAYS_INLINE vector load(const char *place)
{
    return *(const vector *)place;
}

static ALWAYS_INLINE void store(char *place, vector value)
{
    *(vector *)place = value;
}

/* -- elementwise ------------------------------------------------------------------------------ */

#ifdef TAPE_SINGLE

typedef double loose_vector __attribute__((vector_size(VECTOR_BYTES), may_alias, aligned(8)));

static ALWAYS_INLINE vector load_single(const double *place, bool advances)
{
    if (advances)
        return (vector)(*(const loose_vector *)place);
    return SPLAT(*place);
}

static ALWAYS_INLINE void store_single(double *place, vector value)
{
    *(loose_vector *)place = (loose_vector)value;
}

#else

static ALWAYS_INLINE const char *place_of(const struct tape_operand *operand,
                                          const struct tape_frame *frame)
{
    if (operand->is_constant)
        return (const char *)(frame->tape->constant_values + TAPE_LANES * (size_t)operand->index);
    return frame->scratch + operand->index * frame->row_bytes;
}

/* Bytes from one row's operand to the next one's. */
static ALWAYS_INLINE size_t row_stride(const struct tape_operand *operand,
                                       const struct tape_frame *frame)
{
    if (!operand->advances)
        return 0;
    return operand->is_constant ? TAPE_LANES * sizeof(double) : frame->row_bytes;
}

static ALWAYS_INLINE size_t vector_stride(const struct tape_operand *operand)
{
    return operand->is_constant ? 0 : VECTOR_BYTES;
}

#endif

#ifdef TAPE_SINGLE

/* An expression of one number, in all lanes; and of numbers that are neighbours, up to a whole
   vector, for which there is room. */
#define KERNEL(name, operand_count, expression)                                                   \
    static void one_##name(const struct tape_single *single, double *numbers)                     \
    {                                                                                             \
        const uint32_t *o = single->operands;                                                     \
        vector a = SPLAT(numbers[o[0]]), b = a, c = a;                                            \
        if (operand_count > 1)                                                                    \
            b = SPLAT(numbers[o[1]]);                                                             \
        if (operand_count > 2)                                                                    \
            c = SPLAT(numbers[o[2]]);                                                             \
        (void)b, (void)c;                                                                         \
        numbers[single->first] = (expression)[0];                                                 \
    }                                                                                             \
    static void wide_##name(const struct tape_single *single, double *numbers)                    \
    {                                                                                             \
        const bool *moves = single->advances;                                                     \
        const double *p = numbers + single->operands[0], *q = numbers + single->operands[1];      \
        const double *r = numbers + single->operands[2];                                          \
        double *result = numbers + single->first, *end = result + single->count;                  \
        for (; result < end; result += LANE_COUNT) {                                              \
            vector a = load_single(p, moves[0]);                                                  \
            vector b = operand_count > 1 ? load_single(q, moves[1]) : a;                          \
            vector c = operand_count > 2 ? load_single(r, moves[2]) : a;                          \
            (void)b, (void)c;                                                                     \
            store_single(result, expression);                                                     \
            p += moves[0] ? LANE_COUNT : 0, q += moves[1] ? LANE_COUNT : 0;                       \
            r += moves[2] ? LANE_COUNT : 0;                                                       \
        }                                                                                         \
    }

#else

/* Calls `expression` of the vectors a, b and c for every vector of a step. */
#define KERNEL(name, operand_count, expression)                                                   \
    static void kernel_##name(const struct tape_step *step, const struct tape_frame *frame)       \
    {                                                                                             \
        const struct tape_operand *o = step->operands;                                            \
        size_t rows = step->is_linear ? 1 : step->count;                                          \
        size_t bytes = step->is_linear ? step->count * frame->row_bytes : frame->row_bytes;       \
        char *result = frame->scratch + step->first * frame->row_bytes;                           \
        const char *places[3] = {NULL};                                                           \
        size_t strides[3] = {0}, row_strides[3] = {0};                                            \
        for (int i = 0; i < operand_count; i++) {                                                 \
            places[i] = place_of(o + i, frame);                                                   \
            strides[i] = vector_stride(o + i);                                                    \
            row_strides[i] = row_stride(o + i, frame);                                            \
        }                                                                                         \
        for (size_t row = 0; row < rows; row++) {                                                 \
            const char *p = places[0], *q = places[1], *r = places[2];                            \
            for (char *end = result + bytes; result < end; result += VECTOR_BYTES) {              \
                vector a = load(p), b = operand_count > 1 ? load(q) : a;                          \
                vector c = operand_count > 2 ? load(r) : a;                                       \
                (void)b, (void)c;                                                                 \
                store(result, expression);                                                        \
                p += strides[0], q += strides[1], r += strides[2];                                \
            }                                                                                     \
            for (int i = 0; i < operand_count; i++)                                               \
                places[i] += row_strides[i];                                                      \
        }                                                                                         \
    }

#endif

KERNEL(copy, 1, a)
KERNEL(abs, 1, vector_abs(a))
KERNEL(neg, 1, -a)
KERNEL(sign, 1, vector_sign(a))
KERNEL(sqrt, 1, root(a))
KERNEL(exp, 1, vector_exp(a))
KERNEL(log, 1, vector_log(a))
KERNEL(tanh, 1, vector_tanh(a))
KERNEL(sigmoid, 1, vector_sigmoid(a))
KERNEL(add, 2, a + b)
KERNEL(sub, 2, a - b)
KERNEL(mul, 2, a *b)
KERNEL(div, 2, a / b)
KERNEL(max, 2, vector_max(a, b))
KERNEL(min, 2, vector_min(a, b))
KERNEL(greater, 2, (vector)(a > b))
KERNEL(greater_equal, 2, (vector)(a >= b))
KERNEL(pow, 2, vector_pow(a, b))
KERNEL(where, 3, blend((integers)a, b, c))
KERNEL(mul_mul, 3, a *b *c)
KERNEL(mul_add, 3, a *b + c)
KERNEL(mul_sub, 3, a *b - c)
KERNEL(mul_rsub, 3, c - a * b)
KERNEL(mul_div, 3, a *b / c)
KERNEL(mul_rdiv, 3, c / (a * b))
KERNEL(add_mul, 3, (a + b) * c)
KERNEL(add_add, 3, a + b + c)
KERNEL(add_sub, 3, a + b - c)
KERNEL(add_rsub, 3, c - (a + b))
KERNEL(add_div, 3, (a + b) / c)
KERNEL(add_rdiv, 3, c / (a + b))
KERNEL(sub_mul, 3, (a - b) * c)
KERNEL(sub_add, 3, a - b + c)
KERNEL(sub_sub, 3, a - b - c)
KERNEL(sub_rsub, 3, c - (a - b))
KERNEL(sub_div, 3, (a - b) / c)
KERNEL(sub_rdiv, 3, c / (a - b))

/* x / sqrt(x^2 + 1), and the cube of sqrt(x^2 + 1), by which its derivative divides. */
static ALWAYS_INLINE vector algebraic(vector x, vector *cube)
{
    vector sum = x * x + SPLAT(1.0), length = root(sum);
    *cube = length * sum;
    return x / length;
}

#ifdef TAPE_SINGLE

static void one_algebraic(const struct tape_single *single, double *numbers)
{
    vector cube;
    numbers[single->first] = algebraic(SPLAT(numbers[single->operands[0]]), &cube)[0];
    if (single->step->second >= 0)
        numbers[single->step->second] = cube[0];
}

static void wide_algebraic(const struct tape_single *single, double *numbers)
{
    double *result = numbers + single->first;
    double *second = single->step->second < 0 ? NULL : numbers + single->step->second;
    const double *x = numbers + single->operands[0];
    bool moves = single->advances[0];
    vector cube;
    for (size_t row = 0; row < single->count; row += LANE_COUNT) {
        store_single(result + row, algebraic(load_single(x + (moves ? row : 0), moves), &cube));
        if (second)
            store_single(second + row, cube);
    }
}

/* Up to SINGLE_TILE vectors of sums; weights lie column by column (tape.h). */
static ALWAYS_INLINE void column(int vectors, const struct tape_step *step, size_t row,
                                 const double *scratch, vector *sums)
{
    size_t width = step->column_width;
    const double *weights = step->columns + row;
    for (int j = 0; j < vectors; j++)
        sums[j] = SPLAT(0.0);
    for (size_t k = 0; k < step->term_count; k++, weights += width) {
        vector x = SPLAT(scratch[step->terms[k]]);
        for (int j = 0; j < vectors; j++)
            sums[j] = fused(load_single(weights + (size_t)j * LANE_COUNT, true), x, sums[j]);
    }
    if (step->biases)
        for (int j = 0; j < vectors; j++)
            sums[j] += load_single(weights + (size_t)j * LANE_COUNT, true);
}

static ALWAYS_INLINE void columns(int vectors, const struct tape_step *step, size_t row,
                                  double *scratch)
{
    vector sums[SINGLE_TILE];
    column(vectors, step, row, scratch, sums);
    for (int j = 0; j < vectors; j++)
        store_single(scratch + step->first + row + (size_t)j * LANE_COUNT, sums[j]);
}

static void one_product(const struct tape_single *single, double *numbers)
{
    vector sum;
    column(1, single->step, 0, numbers, &sum);
    numbers[single->first] = sum[0];
}

static void wide_product(const struct tape_single *single, double *numbers)
{
    const struct tape_step *step = single->step;
    size_t row = 0, tile = SINGLE_TILE * LANE_COUNT;
    for (; row + tile <= tape_room(step->count); row += tile)
        columns(SINGLE_TILE, step, row, numbers);
    for (; row < step->count; row += LANE_COUNT)
        columns(1, step, row, numbers);
}

#else

static void kernel_algebraic(const struct tape_step *step, const struct tape_frame *frame)
{
    size_t bytes = frame->row_bytes;
    size_t stride = row_stride(step->operands, frame);
    const char *place = place_of(step->operands, frame);
    for (size_t row = 0; row < step->count; row++, place += stride) {
        char *result = frame->scratch + (step->first + row) * bytes;
        char *second = step->second < 0 ? NULL
                                        : frame->scratch + ((size_t)step->second + row) * bytes;
        const char *x = place;
        for (size_t at = 0; at < bytes; at += VECTOR_BYTES, x += vector_stride(step->operands)) {
            vector cube;
            store(result + at, algebraic(load(x), &cube));
            if (second)
                store(second + at, cube);
        }
    }
}

/* -- matrix products -------------------------------------------------------------------------- */

/* A tile of results: sums over the terms in their order, then the bias. */
static ALWAYS_INLINE void tile(int rows, int vectors, const struct tape_step *step, size_t row,
                               const char *const *terms, char *result, size_t row_bytes)
{
    vector sums[TILE_ROWS][TILE_VECTORS];
    size_t count = step->term_count;
    const double *weights = step->weights + row * count;
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vectors; j++)
            sums[i][j] = SPLAT(0.0);
    for (size_t k = 0; k < count; k++) {
        for (int j = 0; j < vectors; j++) {
            vector x = load(terms[k] + j * VECTOR_BYTES);
            for (int i = 0; i < rows; i++)
                sums[i][j] = fused(SPLAT(weights[(size_t)i * count + k]), x, sums[i][j]);
        }
    }
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < vectors; j++) {
            if (step->biases)
                sums[i][j] += SPLAT(step->biases[row + (size_t)i]);
            store(result + (size_t)i * row_bytes + j * VECTOR_BYTES, sums[i][j]);
        }
    }
}

static ALWAYS_INLINE void column(int vectors, const struct tape_step *step,
                                 const char *const *terms, char *result, size_t row_bytes)
{
    size_t row = 0;
    for (; row + TILE_ROWS <= step->count; row += TILE_ROWS)
        tile(TILE_ROWS, vectors, step, row, terms, result + row * row_bytes, row_bytes);
    for (; row < step->count; row++)
        tile(1, vectors, step, row, terms, result + row * row_bytes, row_bytes);
}

static void kernel_product(const struct tape_step *step, const struct tape_frame *frame)
{
    size_t bytes = frame->row_bytes, at = 0;
    char *result = frame->scratch + step->first * bytes;
    const char **terms = frame->terms;
    for (size_t k = 0; k < step->term_count; k++)
        terms[k] = frame->scratch + (size_t)step->terms[k] * bytes;
    while (at < bytes) {
        size_t done = VECTOR_BYTES;
        if (at + TILE_VECTORS * VECTOR_BYTES <= bytes) {
            done = TILE_VECTORS * VECTOR_BYTES;
            column(TILE_VECTORS, step, terms, result + at, bytes);
        } else {
            column(1, step, terms, result + at, bytes);
        }
        at += done;
        for (size_t k = 0; k < step->term_count; k++)
            terms[k] += done;
    }
}

#endif

#ifdef TAPE_SINGLE

/* Every kernel jumps to the next one: a jump from a place of its own is foreseen better. */
void TAPE_TABLE(const struct tape_single *single, double *numbers)
{
#define ONE_PLACE(name, operands) [TAPE_##name] = &&at_one_##name,
#define WIDE_PLACE(name, operands) [TAPE_OPERATORS + TAPE_##name] = &&at_wide_##name,
    static const void *const places[] = {
        TAPE_ELEMENTWISE(ONE_PLACE)
        TAPE_ELEMENTWISE(WIDE_PLACE)
        [TAPE_algebraic] = &&at_one_algebraic,
        [TAPE_product] = &&at_one_product,
        [TAPE_OPERATORS + TAPE_algebraic] = &&at_wide_algebraic,
        [TAPE_OPERATORS + TAPE_product] = &&at_wide_product,
        [2 * TAPE_OPERATORS] = &&at_end,
    };
#define STEP(place, run)                                                                          \
    place:                                                                                        \
    run(single, numbers);                                                                         \
    single++;                                                                                     \
    goto *places[single->kernel];
#define ONE_STEP(name, operands) STEP(at_one_##name, one_##name)
#define WIDE_STEP(name, operands) STEP(at_wide_##name, wide_##name)
    goto *places[single->kernel];
    TAPE_ELEMENTWISE(ONE_STEP)
    TAPE_ELEMENTWISE(WIDE_STEP)
    ONE_STEP(algebraic, 1)
    WIDE_STEP(algebraic, 1)
    ONE_STEP(product, 1)
    WIDE_STEP(product, 1)
at_end:
    return;
}

#else
tape_kernel *const TAPE_TABLE[TAPE_OPERATORS] = {
#define TABLE_ENTRY(name, operands) [TAPE_##name] = kernel_##name,
    TAPE_ELEMENTWISE(TABLE_ENTRY)
    [TAPE_algebraic] = kernel_algebraic,
    [TAPE_product] = kernel_product,
};
#endif
