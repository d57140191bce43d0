/* What the files of libxcnet share. One lock guards everything that changes rarely: the index,
   handles, sessions, the error. Evaluation takes it only to report an error. */

#ifndef XCNET_INTERNAL_H
#define XCNET_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libxc_api.h"
#include "xcnet.h"

#define EXPORT __attribute__((visibility("default")))

/* -- lock.c ---------------------------------------------------------------------------------- */

void lock(void);
void unlock(void);

/* -- error.c --------------------------------------------------------------------------------- */

__attribute__((format(printf, 1, 2))) void fail(const char *format, ...);
/* Ends the program after an evaluation that failed, unless NaN was chosen for it. */
void stop_program(const char *functional);

/* -- workspace.c ------------------------------------------------------------------------------ */

enum work { WORK_TAPE, WORK_CHUNK, WORK_AREAS };

/* This thread's memory for one kind of work, aligned to 64 bytes, valid until the thread asks for
   it again; NULL: out of memory. */
void *workspace(enum work work, size_t size);

/* -- host.c: the libxc of the calling object -------------------------------------------------- */

enum function {
#define FUNCTION_INDEX(result, none, name, parameters, arguments) F_##name,
#define EVALUATION_INDEX(FAMILY, name, OUT) F_##name,
    INFO_FUNCTIONS(FUNCTION_INDEX)
    FORWARDED_FUNCTIONS(FUNCTION_INDEX)
    EVALUATION_FUNCTIONS(EVALUATION_INDEX)
    FUNCTIONS
#undef FUNCTION_INDEX
#undef EVALUATION_INDEX
};

struct host {
    void *functions[FUNCTIONS]; /* NULL where this version has none */
    char *path;
    uintptr_t low, high; /* where it is loaded */
    _Atomic bool usable; /* checked and found to be */
};

/* Libxc that the code at this address would call without us; one without functions if none. */
struct host *host_of(const void *address);
/* Whether its structures are as this library expects; says why not. */
bool host_is_usable(struct host *host);

#define CALLER_HOST host_of(__builtin_return_address(0))
/* Whether the calling function is libxc's own. */
#define CALLED_BY(host) \
    ((uintptr_t)__builtin_return_address(0) - (host)->low < (host)->high - (host)->low)
#define REAL(host, name) ((__typeof__(&name))(host)->functions[F_##name])

/* -- layout.c: libxc's labels, components and fold weights ------------------------------------ */

enum variable { RHO, SIGMA, LAPL, TAU, VARIABLES };

enum label {
#define LABEL_INDEX(x) L_##x,
    OUT_all(MGGA, LABEL_INDEX)
    LABELS
#undef LABEL_INDEX
};

enum { MAX_ORDER = 4 };

struct column {
    double weight;     /* in the sum that gives the closed-shell value */
    unsigned channels; /* spins (bits 1, 2) whose variables it is a derivative by */
};

struct label_layout {
    const char *name;
    int order;
    unsigned variables; /* bit per variable */
    int width;          /* polarized; an unpolarized output has one component */
    const struct column *columns;
};

const struct label_layout *layout_of(int label);
const char *variable_name(int variable);
int variable_width(int variable, int nspin);
int label_width(int label, int nspin);
/* Sets a point's results to a value, in all labels that a functional of these inputs writes. */
void fill_point(double *const *outputs, int label_count, unsigned inputs, int nspin, size_t point,
                double value);
/* Whether a functional of these inputs writes a label: as libxc, not the Laplacian's without it. */
bool label_is_written(int label, unsigned inputs);

/* -- models.c, evaluators.c, ort.c ------------------------------------------------------------ */

/* A graph and what evaluates it: its tape, where the index names one, else ONNX Runtime. */
struct model {
    struct model *next;
    char *path;
    char sha256[65];
    const char *tape_path; /* NULL: ONNX Runtime evaluates */
    const char *tape_sha256;
    bool checked;
    _Atomic(void *) session;
    struct tape *_Atomic tape;
    unsigned char variables[VARIABLES]; /* of the tape's inputs */
    unsigned char labels[LABELS];       /* of its outputs */
};

struct tensor {
    const char *name;
    double *data;
    int width;
};

/* The model of a file and its hash, evaluated by a tape (a file and its hash) unless it is NULL;
   the same for the same ones. */
struct model *model_find(const char *path, const char *sha256, const char *tape_path,
                         const char *tape_sha256);
/* Checks the file's hash, once; says what is wrong. */
bool model_check(struct model *model, const char *functional);
/* Content of a file of the functional if it has the hash; says what is wrong. */
char *model_read(const char *path, const char *sha256, const char *functional, size_t *size);
/* Opens what evaluates a model of so many spins, once; says what is wrong. */
bool model_open(struct model *model, const char *functional, int nspin);
struct chunk;
/* Evaluates a chunk by an opened model, those labels that have an array; says what is wrong. */
bool model_run(const struct model *model, struct chunk *chunk, const char *functional);
/* Points per chunk of a model. */
size_t model_chunk(const struct model *model);
/* Forgets all sessions, in a child process. */
void models_forget(void);

/* Runs a session on n points; says what is wrong. */
bool ort_run(void *session, size_t n, const struct tensor *inputs, int input_count,
             const struct tensor *outputs, int output_count, const char *functional);
/* New session from a model's bytes; message receives the reason of a failure (free it). */
void *ort_open(const void *bytes, size_t size, char **message);
/* Path of ONNX Runtime's library, where XCNET_ONNXRUNTIME does not name one. */
void ort_set_library(const char *path);
/* Forgets everything that a fork spoils, in a child process. */
void ort_forget(void);
void sha256_hex(const unsigned char *bytes, size_t size, char hex[65]);

/* -- index.c, records.c ----------------------------------------------------------------------- */

struct thresholds {
    double density, zeta, sigma, tau;
};

enum { MAX_ALIASES = 16 };

/* Python that verifies graphs, and the folder of its packages that has xcnet. */
struct python {
    const char *executable, *packages;
};

struct record {
    const char *name;
    int number, kind, family, flags;
    const char *aliases[MAX_ALIASES];
    int alias_count;
    const char *description;
    func_reference_type references[MAX_REFERENCES];
    int reference_count;
    unsigned inputs; /* bit per variable */
    struct thresholds thresholds;
    bool enforce_fhc;
    double exx, omega, alpha, beta;
    const char *nonlocal_hosts; /* NULL for a functional that is served here */
    const struct python *python;
    const char *folder, *graphs_file; /* of the functional; of its verified graphs */
    /* What follows is known, under the lock, once the functional was asked for. */
    const char *refused; /* why its files may not be opened; NULL where they may */
    struct model *models[MAX_ORDER + 1];
    int orders; /* how many derivative orders have a graph */
    struct model *closed_shell[MAX_ORDER + 1]; /* of the same orders, or none at all */
};

struct catalogue {
    const struct catalogue *former; /* kept: hosts may still read its names */
    const char *onnxruntime;        /* path; NULL where the index has none */
    int count;
    struct record *records[]; /* by rising number */
};

/* The functionals in force; reads the file of XCNET_INDEX at the first call. */
const struct catalogue *catalogue(void);
struct record *record_by_number(int number);
const struct record *record_by_name(const char *name);
/* Whether libxc's interface can serve the functional; says which programs can if it cannot. */
bool record_is_local(const struct record *record);
/* Counts those that use the functionals in force: a new index joins them then. */
void catalogue_use(int difference);

/* A parsed index; its records point into its text. */
struct index_file {
    struct index_file *next;
    char sha256[65];
    char *text;
    const char *onnxruntime;
    struct python python;
    struct record *records;
    int count;
};

/* Reads an index file, the same one for the same content; NULL after saying what is wrong. */
const struct index_file *index_read(const char *path);
/* Reads the file of a functional's verified graphs; says what is wrong. */
bool graphs_read(struct record *record);
/* Has a functional's graphs verified if they were not, and knows them then; says what is wrong.
   Under the lock. */
bool record_prepare(struct record *record);
/* Whole content of a file with a 0 behind it (free it); NULL after saying what is wrong. */
char *read_file(const char *path, size_t limit, size_t *size, const char *what);

/* -- handles.c -------------------------------------------------------------------------------- */

/* The previous call of a handle, in the caller's layout. */
struct cache {
    atomic_flag busy;
    size_t np;     /* 0: holds nothing */
    int order;
    long settings; /* the handle's, at that time */
    size_t capacity;
    double *store;
    double *inputs[VARIABLES], *outputs[LABELS]; /* NULL for what is not held */
};

struct handle {
    xc_func_info_type info; /* first: what the host's xc_func_type points to */
    func_reference_type references[MAX_REFERENCES];
    const struct record *record;
    const struct host *host;
    const void *template_info;
    int nspin;
    bool enforce_fhc;
    bool refused; /* its initialisation failed: results are NaN */
    struct thresholds thresholds;
    long settings; /* changes with the thresholds */
    struct cache cache;
    struct handle *next;
    _Atomic bool active;
};

/* The handle behind libxc's object, its info or reference; NULL where it is not ours. */
struct handle *own_handle(const xc_func_type *p);
bool is_own_info(const xc_func_info_type *info);
bool is_own_reference(const func_reference_type *reference);
int handle_open(struct host *host, xc_func_type *p, struct record *record, int nspin);
void handle_close(struct handle *handle, xc_func_type *p);

/* -- evaluate.c, density.c, cache.c ----------------------------------------------------------- */

enum {
    CHUNK = 2048,     /* points per run of a graph, as in xcnet/engine.py */
    TAPE_CHUNK = 256, /* the same of a tape: all arrays stay in the cache */
    LANES = 8         /* ONNX Runtime takes a multiple of these points, see evaluators.c */
};

/* A chunk of points as the graphs take them: the living ones only, clamped. */
struct chunk {
    int nspin;             /* of the graphs: UNPOLARIZED for those of closed shells */
    size_t live;
    size_t *points;        /* index of each among the caller's points */
    size_t *floored;       /* of those whose closed shells need spin-resolved graphs */
    size_t floored_count;
    unsigned char *absent; /* spin channels (bits 1, 2) lifted to the floor */
    double *inputs[VARIABLES];
    double *outputs[LABELS]; /* NULL where not wanted */
};

/* One call: what the caller gave and wants. */
struct call {
    const struct handle *handle;
    const double *const *inputs;
    double *const *outputs;       /* of the first labels, NULL where not wanted */
    int label_count;              /* how many: for one point, a look at all of them takes long */
    unsigned char wanted[LABELS]; /* labels of the graph that are wanted */
    int wanted_count;
    int order;   /* highest of them: the graph to run */
    bool flawed; /* some points have no result */
};

void evaluate(struct handle *handle, size_t np, const double *const inputs[VARIABLES],
              double *const *outputs, size_t label_count);
/* Fills the chunk from points first .. first + count - 1, for the graphs of closed shells where
   there are any: points at a floor are put aside. */
void chunk_fill(struct chunk *chunk, struct call *call, size_t first, size_t count);
/* Fills the chunk from the points that were put aside, for the spin-resolved graphs. */
void chunk_fill_floored(struct chunk *chunk, const struct call *call);

bool cache_take(struct cache *cache, size_t np);
void cache_release(struct cache *cache);
/* Copies the results of the points at the end that are as before; returns how many are not. */
size_t cache_reuse(const struct cache *cache, const struct call *call, size_t np);
/* Keeps a call of which the first points have changed. */
void cache_keep(struct cache *cache, const struct call *call, size_t np, size_t changed);
void cache_drop(struct cache *cache);

#endif
