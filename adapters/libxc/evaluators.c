/* What evaluates a model: its tape, or a session of ONNX Runtime.

   The kernels of ONNX Runtime round the last few elements of an array differently. Numbers of
   points and addresses that are multiples of the widest vector make a point's result the same to
   the last bit whichever points it is evaluated with: threads, blocks and the cache change
   nothing. Tapes need no such care. */

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"
#include "tape.h"

enum { MAX_TAPE_BYTES = 1 << 26 };

/* -- opening ---------------------------------------------------------------------------------- */

static int find_variable(const struct tape_tensor *tensor, int nspin)
{
    for (int v = 0; v < VARIABLES; v++)
        if (strcmp(variable_name(v), tensor->name) == 0)
            return (int)tensor->width == variable_width(v, nspin) ? v : -1;
    return -1;
}

static int find_label(const struct tape_tensor *tensor, int nspin)
{
    for (int l = 0; l < LABELS; l++)
        if (strcmp(layout_of(l)->name, tensor->name) == 0)
            return (int)tensor->width == label_width(l, nspin) ? l : -1;
    return -1;
}

/* Whether inputs and outputs are libxc's; notes which they are. */
static bool fits(struct model *model, const struct tape *tape, int nspin)
{
    if (tape->inputs > VARIABLES || tape->outputs > LABELS)
        return false;
    for (uint32_t i = 0; i < tape->inputs; i++) {
        int variable = find_variable(&tape->tensors[i], nspin);
        if (variable < 0)
            return false;
        model->variables[i] = (unsigned char)variable;
    }
    for (uint32_t i = 0; i < tape->outputs; i++) {
        int label = find_label(&tape->tensors[tape->inputs + i], nspin);
        if (label < 0)
            return false;
        model->labels[i] = (unsigned char)label;
    }
    return true;
}

/* Length of the path of the folder above a file's own: the cache folder. */
static int folder_length(const char *path)
{
    int length = (int)strlen(path);
    for (int levels = 0; length > 0 && levels < 2; levels += path[length] == '/')
        length--;
    return length;
}

/* Content of a tape's file if it has the hash; else NULL and what is wrong. */
static unsigned char *read_tape(const struct model *model, size_t *size, const char **problem)
{
    struct stat status;
    char given[65];
    int descriptor = open(model->tape_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    unsigned char *bytes = NULL;
    *problem = "it cannot be read";
    if (descriptor < 0)
        return NULL;
    if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) &&
        status.st_size <= MAX_TAPE_BYTES)
        bytes = malloc((size_t)status.st_size + 1);
    if (bytes && read(descriptor, bytes, (size_t)status.st_size) == status.st_size) {
        *size = (size_t)status.st_size;
        sha256_hex(bytes, *size, given);
        *problem = "it is not the one that the index names";
        if (strcmp(given, model->tape_sha256) == 0) {
            close(descriptor);
            return bytes;
        }
    }
    close(descriptor);
    free(bytes);
    return NULL;
}

/* A tape that is lost or damaged is not used: ONNX Runtime, the reference, evaluates in its place. */
static struct tape *open_tape(struct model *model, const char *functional, int nspin)
{
    size_t size;
    const char *problem;
    unsigned char *bytes = read_tape(model, &size, &problem);
    struct tape *tape = bytes ? tape_open(bytes, size, &problem) : NULL;
    free(bytes);
    if (tape && fits(model, tape, nspin))
        return tape;
    if (tape)
        problem = "its inputs or outputs are not those of the functional";
    fprintf(stderr, "xcnet: warning: %s: the tape %s is refused (%s): ONNX Runtime, which is slower, "
                    "evaluates in its place. Delete %.*s, and all in it is made again\n",
            functional, model->tape_path, problem, folder_length(model->tape_path),
            model->tape_path);
    tape_close(tape);
    return NULL;
}

/* Sessions copied by a fork may hold locks of threads that are gone: the child opens its own. */
static void in_child(void)
{
    models_forget();
    ort_forget();
}

static void prepare(void)
{
    pthread_atfork(NULL, NULL, in_child);
}

static void *open_session(struct model *model, const char *functional)
{
    static pthread_once_t prepared = PTHREAD_ONCE_INIT;
    size_t size;
    pthread_once(&prepared, prepare);
    char *message, *bytes = model_read(model->path, model->sha256, functional, &size);
    if (!bytes)
        return NULL;
    void *session = ort_open(bytes, size, &message);
    if (!session) {
        fail("%s: %s cannot be loaded: %s", functional, model->path,
             message ? message : "out of memory");
        free(message);
    }
    free(bytes);
    return session;
}

static bool is_open(const struct model *model)
{
    return atomic_load_explicit(&model->tape, memory_order_acquire) ||
           atomic_load_explicit(&model->session, memory_order_acquire);
}

bool model_open(struct model *model, const char *functional, int nspin)
{
    if (is_open(model))
        return true;
    lock();
    if (!is_open(model) && model->tape_path && model_check(model, functional))
        atomic_store_explicit(&model->tape, open_tape(model, functional, nspin),
                              memory_order_release);
    if (!is_open(model))
        atomic_store_explicit(&model->session, open_session(model, functional),
                              memory_order_release);
    unlock();
    return is_open(model);
}

size_t model_chunk(const struct model *model)
{
    return model->tape_path ? TAPE_CHUNK : CHUNK;
}

/* -- running ---------------------------------------------------------------------------------- */

static bool run_tape(const struct model *model, const struct tape *tape, const struct chunk *chunk,
                     const char *functional)
{
    const double *inputs[VARIABLES];
    double *outputs[LABELS];
    for (uint32_t i = 0; i < tape->inputs; i++)
        inputs[i] = chunk->inputs[model->variables[i]];
    for (uint32_t i = 0; i < tape->outputs; i++)
        outputs[i] = chunk->outputs[model->labels[i]];
    if (tape_run(tape, chunk->live, inputs, outputs))
        return true;
    fail("%s: out of memory", functional);
    return false;
}

/* Points up to a whole number of vectors: copies of the last living one. */
static size_t fill_up(struct chunk *chunk)
{
    size_t rounded = (chunk->live + LANES - 1) / LANES * LANES;
    for (int v = 0; v < VARIABLES; v++) {
        size_t width = (size_t)variable_width(v, chunk->nspin);
        for (size_t i = chunk->live; chunk->inputs[v] && i < rounded; i++)
            memcpy(chunk->inputs[v] + i * width, chunk->inputs[v] + (chunk->live - 1) * width,
                   width * sizeof(double));
    }
    return rounded;
}

static bool run_session(void *session, struct chunk *chunk, const char *functional)
{
    struct tensor inputs[VARIABLES], outputs[LABELS];
    int input_count = 0, output_count = 0;
    for (int v = 0; v < VARIABLES; v++)
        if (chunk->inputs[v])
            inputs[input_count++] = (struct tensor){variable_name(v), chunk->inputs[v],
                                                    variable_width(v, chunk->nspin)};
    for (int l = 0; l < LABELS; l++)
        if (chunk->outputs[l])
            outputs[output_count++] = (struct tensor){layout_of(l)->name, chunk->outputs[l],
                                                      label_width(l, chunk->nspin)};
    return ort_run(session, fill_up(chunk), inputs, input_count, outputs, output_count, functional);
}

bool model_run(const struct model *model, struct chunk *chunk, const char *functional)
{
    const struct tape *tape = atomic_load_explicit(&model->tape, memory_order_acquire);
    if (tape)
        return run_tape(model, tape, chunk, functional);
    void *session = atomic_load_explicit(&model->session, memory_order_acquire);
    return run_session(session, chunk, functional);
}
