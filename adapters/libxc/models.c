/* Model files: read once, hashed before a byte is parsed, one session each per process. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

enum { MAX_MODEL_BYTES = 1 << 26 };

static struct model *models; /* guarded by the lock, except for the sessions */
static pthread_once_t prepared = PTHREAD_ONCE_INIT;

static char *read_stream(FILE *stream, size_t limit, size_t *size, const char *path,
                         const char *what)
{
    struct stat status;
    if (fstat(fileno(stream), &status) != 0 || !S_ISREG(status.st_mode)) {
        fail("%s %s is not a regular file", what, path);
        return NULL;
    }
    if (status.st_size > (off_t)limit) {
        fail("%s %s is larger than %zu bytes: refused", what, path, limit);
        return NULL;
    }
    char *bytes = malloc((size_t)status.st_size + 1);
    *size = bytes ? fread(bytes, 1, (size_t)status.st_size, stream) : 0;
    if (!bytes || *size != (size_t)status.st_size) {
        fail("%s %s cannot be read whole", what, path);
        free(bytes);
        return NULL;
    }
    bytes[*size] = '\0';
    return bytes;
}

char *read_file(const char *path, size_t limit, size_t *size, const char *what)
{
    /* Without O_NONBLOCK a pipe in the file's place would stop the host here for ever. */
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    FILE *stream = descriptor < 0 ? NULL : fdopen(descriptor, "rb");
    if (!stream) {
        fail("%s %s cannot be opened: %s", what, path, strerror(errno));
        if (descriptor >= 0)
            close(descriptor);
        return NULL;
    }
    char *bytes = read_stream(stream, limit, size, path, what);
    fclose(stream);
    return bytes;
}

struct model *model_find(const char *path, const char *sha256)
{
    struct model *model;
    for (model = models; model; model = model->next)
        if (strcmp(model->path, path) == 0 && strcmp(model->sha256, sha256) == 0)
            return model;
    model = calloc(1, sizeof *model);
    if (!model || !(model->path = strdup(path))) {
        free(model);
        return NULL;
    }
    snprintf(model->sha256, sizeof model->sha256, "%s", sha256);
    model->next = models;
    models = model;
    return model;
}

/* Content of the file that has the record's hash. */
static char *read_checked(struct model *model, const char *functional, size_t *size)
{
    char given[65], *bytes = read_file(model->path, MAX_MODEL_BYTES, size, functional);
    if (!bytes)
        return NULL;
    sha256_hex((unsigned char *)bytes, *size, given);
    model->checked = strcmp(given, model->sha256) == 0;
    if (model->checked)
        return bytes;
    fail("%s: %s is altered: its SHA-256 is %s, the record says %s. Install the functional again",
         functional, model->path, given, model->sha256);
    free(bytes);
    return NULL;
}

bool model_check(struct model *model, const char *functional)
{
    size_t size;
    lock();
    if (!model->checked)
        free(read_checked(model, functional, &size));
    bool checked = model->checked;
    unlock();
    return checked;
}

/* Sessions copied by a fork may hold locks of threads that are gone: the child opens its own. */
static void in_child(void)
{
    for (struct model *model = models; model; model = model->next)
        atomic_store_explicit(&model->session, NULL, memory_order_relaxed);
    ort_forget();
}

static void prepare(void)
{
    pthread_atfork(NULL, NULL, in_child);
}

static void *open_session(struct model *model, const char *functional)
{
    size_t size;
    pthread_once(&prepared, prepare);
    char *message, *bytes = read_checked(model, functional, &size);
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

void *model_session(struct model *model, const char *functional)
{
    void *session = atomic_load_explicit(&model->session, memory_order_acquire);
    if (session)
        return session;
    lock();
    session = atomic_load_explicit(&model->session, memory_order_relaxed);
    if (!session) {
        session = open_session(model, functional);
        atomic_store_explicit(&model->session, session, memory_order_release);
    }
    unlock();
    return session;
}
