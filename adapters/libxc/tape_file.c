/* Tapes from bytes that may be damaged or hostile: everything that an evaluation reads or writes
   is checked to be there, once. */

#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "tape.h"

#define MAGIC "xcnetape"

enum {
    VERSION = 2,
    HASH_BYTES = 32,
    MOST_TENSORS = 128,
    MOST_WIDTH = 4096,
    MOST_ROWS = 1 << 16,
    MOST_NUMBERS = 1 << 24,
    UNUSED = -1
};

static const uint8_t OPERANDS[TAPE_OPERATORS] = {
#define OPERAND_COUNT(name, operands) [TAPE_##name] = operands,
    TAPE_ELEMENTWISE(OPERAND_COUNT)
    [TAPE_algebraic] = 1,
};

struct reader {
    const unsigned char *next;
    size_t left;
    struct tape *tape;
    unsigned char *written; /* per row */
    const int32_t *words;   /* of the code that are left */
    size_t words_left;
    const char *problem;
};

static bool wrong(struct reader *r, const char *problem)
{
    r->problem = problem;
    return false;
}

static bool take(struct reader *r, void *to, size_t size)
{
    if (size > r->left)
        return wrong(r, "it is truncated");
    memcpy(to, r->next, size);
    r->next += size;
    r->left -= size;
    return true;
}

static int hex_digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

static bool check_hash(struct reader *r, const unsigned char *bytes, size_t size)
{
    char hex[65];
    if (size < HASH_BYTES)
        return wrong(r, "it is truncated");
    r->left = size - HASH_BYTES;
    sha256_hex(bytes, r->left, hex);
    for (size_t i = 0; i < HASH_BYTES; i++)
        if (bytes[r->left + i] != hex_digit(hex[2 * i]) * 16 + hex_digit(hex[2 * i + 1]))
            return wrong(r, "its content does not have its hash");
    return true;
}

static bool read_head(struct reader *r)
{
    char magic[8];
    uint32_t head[8]; /* the last is for who chooses an engine */
    if (!take(r, magic, sizeof magic) || !take(r, head, sizeof head))
        return false;
    if (memcmp(magic, MAGIC, sizeof magic) != 0 || head[0] != VERSION)
        return wrong(r, "it is no tape of this version of xcnet");
    struct tape *t = r->tape;
    t->inputs = head[1], t->outputs = head[2], t->rows = head[3];
    t->constants = head[4], t->weights = head[5], t->words = head[6];
    if (t->inputs == 0 || t->inputs > MOST_TENSORS || t->outputs == 0 ||
        t->outputs > MOST_TENSORS || t->rows == 0 || t->rows > MOST_ROWS ||
        t->constants > MOST_NUMBERS || t->weights > MOST_NUMBERS || t->words > MOST_NUMBERS)
        return wrong(r, "its sizes are impossible");
    return true;
}

static bool read_tensors(struct reader *r)
{
    struct tape *t = r->tape;
    uint32_t count = t->inputs + t->outputs;
    t->tensors = calloc(count, sizeof *t->tensors);
    if (!t->tensors)
        return wrong(r, "out of memory");
    for (uint32_t i = 0; i < count; i++) {
        struct tape_tensor *tensor = &t->tensors[i];
        if (!take(r, tensor->name, TAPE_NAME) || !take(r, &tensor->width, sizeof tensor->width))
            return false;
        if (!memchr(tensor->name, '\0', TAPE_NAME) || tensor->width == 0 ||
            tensor->width > MOST_WIDTH)
            return wrong(r, "an input or output is impossible");
        tensor->places = malloc(tensor->width * sizeof *tensor->places);
        if (!tensor->places)
            return wrong(r, "out of memory");
        if (!take(r, tensor->places, tensor->width * sizeof *tensor->places))
            return false;
    }
    return true;
}

static bool read_numbers(struct reader *r)
{
    struct tape *t = r->tape;
    size_t constants = t->constants * (size_t)TAPE_LANES;
    t->constant_values = aligned_alloc(64, constants * sizeof(double) + 64);
    t->constant_numbers = malloc(t->constants * sizeof(double) + 1);
    t->weight_values = malloc(t->weights * sizeof(double) + 1);
    t->code = malloc(t->words * sizeof *t->code + 1);
    if (!t->constant_values || !t->constant_numbers || !t->weight_values || !t->code)
        return wrong(r, "out of memory");
    for (size_t i = 0; i < constants; i += TAPE_LANES) {
        double value;
        if (!take(r, &value, sizeof value))
            return false;
        t->constant_numbers[i / TAPE_LANES] = value;
        for (size_t lane = 0; lane < TAPE_LANES; lane++)
            t->constant_values[i + lane] = value;
    }
    if (!take(r, t->weight_values, t->weights * sizeof(double)) ||
        !take(r, t->code, t->words * sizeof *t->code))
        return false;
    return r->left == 0 || wrong(r, "it is longer than it says");
}

/* -- code ------------------------------------------------------------------------------------- */

static bool are_rows(const struct reader *r, int64_t first, int64_t count)
{
    return first >= 0 && count >= 1 && first + count <= r->tape->rows;
}

/* Whether all of these rows hold results. */
static bool are_written(const struct reader *r, int64_t first, int64_t count)
{
    if (!are_rows(r, first, count))
        return false;
    for (int64_t i = 0; i < count; i++)
        if (!r->written[first + i])
            return false;
    return true;
}

static bool next_word(struct reader *r, int32_t *word)
{
    if (r->words_left == 0)
        return wrong(r, "its code is truncated");
    *word = *r->words++;
    r->words_left--;
    return true;
}

static bool overlap(int64_t a, int64_t a_count, int64_t b, int64_t b_count)
{
    return a < b + b_count && b < a + a_count;
}

static bool read_operand(struct reader *r, const struct tape_step *step,
                         struct tape_operand *operand)
{
    int32_t word;
    if (!next_word(r, &word))
        return false;
    int64_t count = operand->advances ? step->count : 1;
    operand->is_constant = word < 0;
    operand->index = (uint32_t)(word < 0 ? ~word : word);
    if (operand->is_constant) {
        if (operand->index + count > r->tape->constants)
            return wrong(r, "an operand is no constant");
    } else if (!are_written(r, word, count)) {
        return wrong(r, "an operand is no row that holds a result");
    } else if (step->count > 1 && overlap(word, count, step->first, tape_room(step->count))) {
        return wrong(r, "a result overwrites an operand");
    }
    return true;
}

static bool turn_weights(struct reader *r, struct tape_step *step)
{
    size_t width = (step->count + TAPE_LANES - 1) / TAPE_LANES * TAPE_LANES;
    step->column_width = width;
    step->columns = calloc(width * ((size_t)step->term_count + 1), sizeof *step->columns);
    if (!step->columns)
        return wrong(r, "out of memory");
    for (size_t row = 0; row < step->count; row++) {
        for (size_t k = 0; k < step->term_count; k++)
            step->columns[k * width + row] = step->weights[row * step->term_count + k];
        if (step->biases)
            step->columns[step->term_count * width + row] = step->biases[row];
    }
    return true;
}

static bool read_product(struct reader *r, struct tape_step *step)
{
    struct tape *t = r->tape;
    int32_t terms, weights, biases;
    if (!next_word(r, &terms) || !next_word(r, &weights) || !next_word(r, &biases))
        return false;
    int64_t size = (int64_t)terms * step->count;
    if (terms < 1 || (size_t)terms > r->words_left)
        return wrong(r, "a product's number of terms is impossible");
    if (weights < 0 || weights + size > t->weights || biases < UNUSED ||
        (biases != UNUSED && biases + (int64_t)step->count > t->weights))
        return wrong(r, "a product's weights are not there");
    step->term_count = (uint32_t)terms;
    step->weights = t->weight_values + weights;
    step->biases = biases == UNUSED ? NULL : t->weight_values + biases;
    step->terms = r->words;
    for (int32_t k = 0; k < terms; k++) {
        int32_t row;
        if (!next_word(r, &row))
            return false;
        if (!are_written(r, row, 1) || overlap(row, 1, step->first, tape_room(step->count)))
            return wrong(r, "a product's term is no row that holds a result");
    }
    t->most_terms = step->term_count > t->most_terms ? step->term_count : t->most_terms;
    return turn_weights(r, step);
}

/* These rows hold results now, and the room beyond them nothing. */
static void note_results(struct reader *r, uint32_t first, uint32_t count)
{
    memset(r->written + first, 1, count);
    memset(r->written + first + count, 0, tape_room(count) - count);
}

static bool read_second(struct reader *r, struct tape_step *step)
{
    if (!next_word(r, &step->second))
        return false;
    if (step->second == UNUSED)
        return true;
    uint32_t room = tape_room(step->count);
    if (!are_rows(r, step->second, room) || overlap(step->second, room, step->first, room))
        return wrong(r, "a second result has no place");
    const struct tape_operand *x = step->operands;
    if (!x->is_constant && overlap(step->second, room, x->index, x->advances ? step->count : 1))
        return wrong(r, "a second result overwrites the operand");
    note_results(r, (uint32_t)step->second, step->count);
    return true;
}

/* A step whose operands are runs as its results are. */
static bool is_linear(const struct tape_step *step)
{
    for (int i = 0; i < OPERANDS[step->operator]; i++)
        if (step->count > 1 && step->operands[i].is_constant == step->operands[i].advances)
            return false;
    return true;
}

static bool read_step(struct reader *r, struct tape_step *step)
{
    int32_t head, count, first;
    if (!next_word(r, &head) || !next_word(r, &count) || !next_word(r, &first))
        return false;
    int operator= head & 0xff, flags = head >> 8;
    if (operator>= TAPE_OPERATORS || flags < 0 || flags >= 1 << TAPE_OPERANDS)
        return wrong(r, "an operator is unknown");
    if (count < 1 || count > MOST_WIDTH || !are_rows(r, first, tape_room((uint32_t)count)))
        return wrong(r, "a result has no place");
    *step = (struct tape_step){.operator= (enum tape_operator) operator,
                               .count = (uint32_t)count,
                               .first = (uint32_t)first,
                               .second = UNUSED};
    if (operator== TAPE_product) {
        if (!read_product(r, step))
            return false;
    } else {
        for (int i = 0; i < OPERANDS[operator]; i++) {
            step->operands[i].advances = flags >> i & 1;
            if (!read_operand(r, step, &step->operands[i]))
                return false;
        }
        step->is_linear = is_linear(step);
        if (operator== TAPE_algebraic && !read_second(r, step))
            return false;
    }
    note_results(r, (uint32_t)first, step->count);
    return true;
}

static bool read_code(struct reader *r)
{
    struct tape *t = r->tape;
    t->step = calloc(t->words / 3 + 1, sizeof *t->step); /* none has fewer words */
    r->written = calloc(t->rows, 1);
    if (!t->step || !r->written)
        return wrong(r, "out of memory");
    for (uint32_t i = 0; i < t->inputs; i++)
        for (uint32_t c = 0; c < t->tensors[i].width; c++) {
            int32_t place = t->tensors[i].places[c];
            if (place == UNUSED)
                continue;
            if (!are_rows(r, place, 1) || r->written[place])
                return wrong(r, "an input has no place of its own");
            r->written[place] = 1;
        }
    r->words = t->code;
    r->words_left = t->words;
    while (r->words_left > 0)
        if (!read_step(r, &t->step[t->steps++]))
            return false;
    if (!tape_prepare_single(t))
        return wrong(r, "out of memory");
    for (uint32_t i = t->inputs; i < t->inputs + t->outputs; i++)
        for (uint32_t c = 0; c < t->tensors[i].width; c++) {
            int32_t place = t->tensors[i].places[c];
            if (place < 0 ? (uint32_t)~place >= t->constants : !are_written(r, place, 1))
                return wrong(r, "an output is not computed");
        }
    return true;
}

struct tape *tape_open(const unsigned char *bytes, size_t size, const char **problem)
{
    struct tape *tape = calloc(1, sizeof *tape);
    struct reader r = {.next = bytes, .tape = tape, .problem = "out of memory"};
    bool good = tape && check_hash(&r, bytes, size) && read_head(&r) && read_tensors(&r) &&
                read_numbers(&r) && read_code(&r);
    free(r.written);
    if (good)
        return tape;
    *problem = r.problem;
    tape_close(tape);
    return NULL;
}

void tape_close(struct tape *tape)
{
    if (!tape)
        return;
    for (uint32_t i = 0; tape->tensors && i < tape->inputs + tape->outputs; i++)
        free(tape->tensors[i].places);
    for (uint32_t i = 0; tape->step && i < tape->steps; i++)
        free(tape->step[i].columns);
    free(tape->tensors);
    free(tape->constant_values);
    free(tape->constant_numbers);
    free(tape->weight_values);
    free(tape->code);
    free(tape->step);
    free(tape->single);
    free(tape);
}
