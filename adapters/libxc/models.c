/* Model files: hashed before a byte is parsed, known once per process. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

enum { MAX_MODEL_BYTES = 1 << 26 };

static struct model *models; /* guarded by the lock, except for the sessions */

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

static bool is_same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

struct model *model_find(const char *path, const char *sha256, const char *tape_path,
                         const char *tape_sha256)
{
    struct model *model;
    for (model = models; model; model = model->next)
        if (strcmp(model->path, path) == 0 && strcmp(model->sha256, sha256) == 0 &&
            is_same(model->tape_path, tape_path) && is_same(model->tape_sha256, tape_sha256))
            return model;
    model = calloc(1, sizeof *model);
    if (!model || !(model->path = strdup(path))) {
        free(model);
        return NULL;
    }
    snprintf(model->sha256, sizeof model->sha256, "%s", sha256);
    model->tape_path = tape_path; /* of an index, which is kept */
    model->tape_sha256 = tape_sha256;
    model->next = models;
    models = model;
    return model;
}

char *model_read(const char *path, const char *sha256, const char *functional, size_t *size)
{
    char given[65], *bytes = read_file(path, MAX_MODEL_BYTES, size, functional);
    if (!bytes)
        return NULL;
    sha256_hex((unsigned char *)bytes, *size, given);
    if (strcmp(given, sha256) == 0)
        return bytes;
    fail("%s: %s is altered: its SHA-256 is %s, the record says %s. Install the functional again",
         functional, path, given, sha256);
    free(bytes);
    return NULL;
}

bool model_check(struct model *model, const char *functional)
{
    size_t size;
    lock();
    if (!model->checked) {
        char *bytes = model_read(model->path, model->sha256, functional, &size);
        model->checked = bytes != NULL;
        free(bytes);
    }
    bool checked = model->checked;
    unlock();
    return checked;
}

void models_forget(void)
{
    for (struct model *model = models; model; model = model->next)
        atomic_store_explicit(&model->session, NULL, memory_order_relaxed);
}
