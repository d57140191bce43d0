/* ONNX Runtime through its C API, without its headers: OrtApi is a table of functions to which
   newer versions only append. Indices: positions in onnxruntime_c_api.h. */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

typedef void *status; /* NULL means success */

enum {
    GET_ERROR_MESSAGE = 2,
    CREATE_ENV = 3,
    CREATE_SESSION_FROM_ARRAY = 8,
    RUN = 9,
    CREATE_SESSION_OPTIONS = 10,
    SET_SESSION_LOG_SEVERITY_LEVEL = 22,
    SET_SESSION_GRAPH_OPTIMIZATION_LEVEL = 23,
    SET_INTRA_OP_NUM_THREADS = 24,
    SET_INTER_OP_NUM_THREADS = 25,
    CREATE_TENSOR_WITH_DATA_AS_ORT_VALUE = 49,
    CREATE_CPU_MEMORY_INFO = 69,
    RELEASE_STATUS = 93,
    RELEASE_VALUE = 96,
    RELEASE_SESSION_OPTIONS = 100
};
enum { API_VERSION = 1, LOG_ERROR = 3, DISABLE_ALL = 0, ELEMENT_DOUBLE = 11 };
enum { ARENA_ALLOCATOR = 1, MEMORY_DEFAULT = 0 };
enum { MAX_TENSORS = VARIABLES + LABELS };

struct api_base {
    void *const *(*get_api)(uint32_t version);
    const char *(*get_version)(void);
};

static void *const *api;     /* set once, under the lock */
static const char *library;  /* path, guarded by the lock; NULL where no index names one */
static void *memory_info;
static void *environment;

#define CALL(index, ...) ((status(*)(__VA_ARGS__))api[index])

/* Copy of a status's message (free it); releases the status. */
static char *message_of(status failed)
{
    char *copy = strdup(((const char *(*)(status))api[GET_ERROR_MESSAGE])(failed));
    ((void (*)(status))api[RELEASE_STATUS])(failed);
    return copy;
}

static char *text(const char *a, const char *b)
{
    size_t size = strlen(a) + strlen(b) + 1;
    char *joined = malloc(size);
    if (joined)
        snprintf(joined, size, "%s%s", a, b);
    return joined;
}

void ort_set_library(const char *path)
{
    library = path;
}

static char *load(void)
{
    const char *path = getenv("XCNET_ONNXRUNTIME");
    if (!path || !path[0])
        path = library;
    if (!path)
        return strdup("ONNX Runtime not found: the index names no library; set XCNET_ONNXRUNTIME "
                      "to the path of libonnxruntime.so");
    /* Without it newer versions start a thread that sends data to their makers. */
    setenv("ORT_DISABLE_TELEMETRY", "1", 0);
    void *loaded = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!loaded)
        return text("ONNX Runtime not found (install the Python package onnxruntime, or set "
                    "XCNET_ONNXRUNTIME to the path of libonnxruntime.so): ",
                    dlerror());
    const struct api_base *(*base)(void);
    *(void **)&base = dlsym(loaded, "OrtGetApiBase");
    void *const *found = base ? base()->get_api(API_VERSION) : NULL;
    if (!found) {
        dlclose(loaded);
        return text("not a usable ONNX Runtime: ", path);
    }
    api = found;
    return NULL;
}

static char *prepare(void)
{
    status failed = NULL;
    char *problem = api ? NULL : load();
    if (problem)
        return problem;
    if (!memory_info)
        failed = CALL(CREATE_CPU_MEMORY_INFO, int, int, void **)(ARENA_ALLOCATOR, MEMORY_DEFAULT,
                                                                 &memory_info);
    if (!failed && !environment)
        failed = CALL(CREATE_ENV, int, const char *, void **)(LOG_ERROR, "xcnet", &environment);
    return failed ? message_of(failed) : NULL;
}

void ort_forget(void)
{
    environment = NULL;
}

/* As in xcnet/engine.py: one thread, and the graph as it was exported. */
static status set_options(void *options)
{
    static const struct {
        int index, value;
    } settings[] = {
        {SET_INTRA_OP_NUM_THREADS, 1},
        {SET_INTER_OP_NUM_THREADS, 1},
        {SET_SESSION_LOG_SEVERITY_LEVEL, LOG_ERROR},
        {SET_SESSION_GRAPH_OPTIMIZATION_LEVEL, DISABLE_ALL},
    };
    status failed = NULL;
    for (size_t i = 0; !failed && i < sizeof settings / sizeof *settings; i++)
        failed = CALL(settings[i].index, void *, int)(options, settings[i].value);
    return failed;
}

void *ort_open(const void *bytes, size_t size, char **message)
{
    void *options = NULL, *session = NULL;
    *message = prepare();
    if (*message)
        return NULL;
    status failed = CALL(CREATE_SESSION_OPTIONS, void **)(&options);
    if (!failed)
        failed = set_options(options);
    if (!failed)
        failed = CALL(CREATE_SESSION_FROM_ARRAY, void *, const void *, size_t, void *, void **)(
            environment, bytes, size, options, &session);
    if (options)
        ((void (*)(void *))api[RELEASE_SESSION_OPTIONS])(options);
    if (failed) {
        *message = message_of(failed);
        return NULL;
    }
    return session;
}

static status wrap(const struct tensor *tensor, size_t n, void **value)
{
    int64_t shape[2] = {(int64_t)n, tensor->width};
    size_t bytes = n * (size_t)tensor->width * sizeof(double);
    return CALL(CREATE_TENSOR_WITH_DATA_AS_ORT_VALUE, void *, void *, size_t, const int64_t *,
                size_t, int, void **)(memory_info, tensor->data, bytes, shape, 2, ELEMENT_DOUBLE,
                                      value);
}

bool ort_run(void *session, size_t n, const struct tensor *inputs, int input_count,
             const struct tensor *outputs, int output_count, const char *functional)
{
    const char *names[MAX_TENSORS] = {NULL};
    void *values[MAX_TENSORS] = {NULL};
    int count = input_count + output_count;
    status failed = NULL;
    for (int i = 0; !failed && i < count; i++) {
        const struct tensor *tensor = i < input_count ? inputs + i : outputs + i - input_count;
        names[i] = tensor->name;
        failed = wrap(tensor, n, &values[i]);
    }
    if (!failed)
        failed = CALL(RUN, void *, void *, const char *const *, void *const *, size_t,
                      const char *const *, size_t, void **)(
            session, NULL, names, values, (size_t)input_count, names + input_count,
            (size_t)output_count, values + input_count);
    for (int i = 0; i < count; i++)
        if (values[i])
            ((void (*)(void *))api[RELEASE_VALUE])(values[i]);
    if (!failed)
        return true;
    char *message = message_of(failed);
    fail("%s: ONNX Runtime failed: %s", functional, message ? message : "out of memory");
    free(message);
    return false;
}
