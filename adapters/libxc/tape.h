/* Tapes: graphs as lists of simple steps on rows, one number per point each (written by
   xcnet/tape/writer.py, which describes the format).

   Points are evaluated in blocks of some vectors, all rows of a block in a scratch that stays in
   the cache. No lane depends on another, and a block's last vector is filled up with copies of
   its last point: a point's result is the same to the last bit whichever points it comes with. */

#ifndef XCNET_TAPE_H
#define XCNET_TAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TAPE_LANES = 8, TAPE_NAME = 32, TAPE_OPERANDS = 3, TAPE_ROOM = 4 };

/* Rows that a step of several may write for a single point, where vectors go across rows: what is
   beyond its own is lost. */
static inline uint32_t tape_room(uint32_t count)
{
    return count > 1 ? (count + TAPE_ROOM - 1) / TAPE_ROOM * TAPE_ROOM : 1;
}

/* Operators with their numbers of operands, in the order of xcnet/tape/writer.py. */
#define TAPE_ELEMENTWISE(X)                                                                       \
    X(copy, 1) X(abs, 1) X(neg, 1) X(sign, 1) X(sqrt, 1) X(exp, 1) X(log, 1) X(tanh, 1)           \
    X(sigmoid, 1) X(add, 2) X(sub, 2) X(mul, 2) X(div, 2) X(max, 2) X(min, 2) X(greater, 2)       \
    X(greater_equal, 2) X(pow, 2) X(where, 3) X(mul_mul, 3) X(mul_add, 3) X(mul_sub, 3)           \
    X(mul_rsub, 3) X(mul_div, 3) X(mul_rdiv, 3) X(add_mul, 3) X(add_add, 3) X(add_sub, 3)         \
    X(add_rsub, 3) X(add_div, 3) X(add_rdiv, 3) X(sub_mul, 3) X(sub_add, 3) X(sub_sub, 3)         \
    X(sub_rsub, 3) X(sub_div, 3) X(sub_rdiv, 3)

enum tape_operator {
#define TAPE_NUMBER(name, operands) TAPE_##name,
    TAPE_ELEMENTWISE(TAPE_NUMBER)
#undef TAPE_NUMBER
    TAPE_algebraic,
    TAPE_product,
    TAPE_OPERATORS
};

/* Where an operand lies: a row of the scratch or a constant, which fills a vector. */
struct tape_operand {
    uint32_t index;
    bool is_constant;
    bool advances; /* from row to row */
};

struct tape_step {
    enum tape_operator operator;
    bool is_linear; /* its rows and operands are runs without a gap */
    uint32_t count; /* of rows */
    uint32_t first; /* row of the result */
    int32_t second; /* of the second result; -1: none */
    struct tape_operand operands[TAPE_OPERANDS];
    uint32_t term_count;
    const double *weights, *biases; /* of a product; biases may be NULL */
    const int32_t *terms;           /* rows */
    /* The weights of a product by term, then the biases, each in column_width places of which the
       last are zero. */
    double *columns;
    size_t column_width;
};

/* The same for a single point, whose rows are single numbers with the constants behind them. */
struct tape_single {
    const struct tape_step *step;
    uint32_t kernel; /* operator, plus TAPE_OPERATORS for several rows; 2 TAPE_OPERATORS: the end */
    uint32_t first, count, operands[TAPE_OPERANDS];
    bool advances[TAPE_OPERANDS];
};

/* An input or output: for each component its row, or ~constant of an output, or -1 of an input
   that is not needed. */
struct tape_tensor {
    char name[TAPE_NAME];
    uint32_t width;
    int32_t *places;
};

struct tape {
    uint32_t inputs, outputs, rows, constants, weights, words, steps;
    uint32_t most_terms;
    struct tape_tensor *tensors; /* the inputs, then the outputs */
    double *constant_values;     /* each repeated TAPE_LANES times, aligned */
    double *constant_numbers;    /* each once */
    double *weight_values;
    int32_t *code;
    struct tape_step *step;
    struct tape_single *single;
    unsigned long serial; /* from 1; no other tape of this process has had it */
};

/* What a kernel works on. */
struct tape_frame {
    const struct tape *tape;
    char *scratch;
    size_t row_bytes;
    const char **terms; /* room for the rows of a product */
};

typedef void tape_kernel(const struct tape_step *step, const struct tape_frame *frame);
/* Runs steps up to the end. */
typedef void tape_single_runner(const struct tape_single *single, double *numbers);

extern tape_kernel *const tape_kernels_portable[TAPE_OPERATORS];
tape_single_runner tape_single_portable;
#ifdef __x86_64__
extern tape_kernel *const tape_kernels_avx2[TAPE_OPERATORS];
extern tape_kernel *const tape_kernels_avx512[TAPE_OPERATORS];
tape_single_runner tape_single_avx2;
#endif

/* Reads a tape; NULL, and what is wrong in *problem (a literal), if it is none. */
struct tape *tape_open(const unsigned char *bytes, size_t size, const char **problem);
void tape_close(struct tape *tape);
/* Evaluates n points; arrays (n, width) by point, an output that is NULL is not written.
   False: out of memory. */
bool tape_run(const struct tape *tape, size_t n, const double *const *inputs,
              double *const *outputs);
/* Makes the steps for a single point; false: out of memory. */
bool tape_prepare_single(struct tape *tape);
/* Instructions that are used: "portable", "avx2" or "avx512". */
const char *tape_target(void);

#endif
