/* Evaluation: chunks of points through a graph into the caller's arrays. */

#include <math.h>
#include <string.h>

#include "internal.h"

static atomic_long evaluations;

EXPORT long xcnet_evaluations(void)
{
    return atomic_load(&evaluations);
}

/* -- memory ----------------------------------------------------------------------------------- */

/* Whether the functional depends on all of a label's variables. */
static bool is_in_graphs(const struct record *record, int label)
{
    return !(layout_of(label)->variables & ~record->inputs);
}

static size_t round_up(size_t n)
{
    return (n + LANES - 1) / LANES * LANES;
}

/* Arrays of the graph: where their pointers are kept, and their components per point at most. */
struct arrays {
    double **places[VARIABLES + LABELS];
    size_t widths[VARIABLES + LABELS];
    int count;
    size_t doubles; /* per point */
};

static void add_array(struct arrays *arrays, double **place, int width)
{
    arrays->places[arrays->count] = place;
    arrays->widths[arrays->count++] = (size_t)width;
    arrays->doubles += (size_t)width;
}

static void list_arrays(struct arrays *arrays, struct chunk *chunk, const struct call *call)
{
    arrays->count = 0;
    arrays->doubles = 0;
    for (int v = 0; v < VARIABLES; v++)
        if (call->handle->record->inputs & 1u << v)
            add_array(arrays, &chunk->inputs[v], variable_width(v, POLARIZED));
    for (int w = 0; w < call->wanted_count; w++)
        add_array(arrays, &chunk->outputs[call->wanted[w]], layout_of(call->wanted[w])->width);
}

/* Room for n points in this thread's memory. */
static bool chunk_allocate(struct chunk *chunk, const struct call *call, size_t n)
{
    struct arrays arrays;
    list_arrays(&arrays, chunk, call);
    n = round_up(n);
    size_t bytes = arrays.doubles * n * sizeof(double) + 2 * n * sizeof *chunk->points + n;
    double *next = workspace(WORK_CHUNK, bytes);
    if (!next)
        return false;
    for (int i = 0; i < arrays.count; i++) {
        *arrays.places[i] = next;
        next += arrays.widths[i] * n;
    }
    chunk->points = (size_t *)next;
    chunk->floored = chunk->points + n;
    chunk->absent = (unsigned char *)(chunk->floored + n);
    return true;
}

/* -- one chunk -------------------------------------------------------------------------------- */

static bool run(const struct call *call, struct chunk *chunk)
{
    const struct record *record = call->handle->record;
    struct model *const *models =
        chunk->nspin == UNPOLARIZED ? record->closed_shell : record->models;
    struct model *model = models[call->order];
    if (!model_open(model, record->name, chunk->nspin))
        return false;
    atomic_fetch_add(&evaluations, (long)chunk->live);
    return model_run(model, chunk, record->name);
}

/* Exchange is a sum over spin channels and an absent one has none: the derivatives by its
   variables are zero. False if a value is not finite. */
static bool screen(const struct call *call, const struct chunk *chunk, size_t i)
{
    bool exchange = call->handle->record->kind == KIND_EXCHANGE, finite = true;
    for (int w = 0; w < call->wanted_count; w++) {
        int l = call->wanted[w];
        const struct label_layout *layout = layout_of(l);
        int width = label_width(l, chunk->nspin);
        double *values = chunk->outputs[l] + i * (size_t)width;
        for (int c = 0; c < width; c++) {
            if (exchange && layout->columns[c].channels & chunk->absent[i])
                values[c] = 0.0;
            finite = finite && isfinite(values[c]);
        }
    }
    return finite;
}

static void store_point(const struct call *call, const struct chunk *chunk, size_t i)
{
    for (int w = 0; w < call->wanted_count; w++) {
        int l = call->wanted[w];
        const struct label_layout *layout = layout_of(l);
        size_t width = (size_t)label_width(l, chunk->nspin);
        const double *values = chunk->outputs[l] + i * width;
        if (call->handle->nspin == chunk->nspin) {
            memcpy(call->outputs[l] + chunk->points[i] * width, values, width * sizeof *values);
            continue;
        }
        double sum = 0.0;
        for (size_t c = 0; c < width; c++)
            sum += layout->columns[c].weight * values[c];
        call->outputs[l][chunk->points[i]] = sum;
    }
}

static bool are_finite(const double *values, size_t count)
{
    const uint64_t exponent = 0x7ff0000000000000;
    uint64_t found = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t bits;
        memcpy(&bits, values + i, sizeof bits);
        found |= (bits & exponent) == exponent;
    }
    return !found;
}

/* Stores results that need no look at single points; false where one is needed. */
static bool store_all(const struct call *call, const struct chunk *chunk)
{
    const struct handle *handle = call->handle;
    size_t first = chunk->points[0], live = chunk->live;
    if (handle->record->kind == KIND_EXCHANGE || handle->nspin != chunk->nspin ||
        chunk->points[live - 1] - first != live - 1)
        return false;
    for (int w = 0; w < call->wanted_count; w++) {
        int l = call->wanted[w];
        if (!are_finite(chunk->outputs[l], live * (size_t)label_width(l, chunk->nspin)))
            return false;
    }
    for (int w = 0; w < call->wanted_count; w++) {
        int l = call->wanted[w];
        size_t width = (size_t)label_width(l, chunk->nspin);
        memcpy(call->outputs[l] + first * width, chunk->outputs[l],
               live * width * sizeof(double));
    }
    return true;
}

static bool evaluate_chunk(struct call *call, struct chunk *chunk)
{
    if (chunk->live == 0)
        return true;
    if (!run(call, chunk))
        return false;
    if (store_all(call, chunk))
        return true;
    for (size_t i = 0; i < chunk->live; i++) {
        if (screen(call, chunk, i)) {
            store_point(call, chunk, i);
            continue;
        }
        fail("%s gives a value that is not finite at point %zu: its results are NaN there; the "
             "functional cannot be used for this density",
             call->handle->record->name, chunk->points[i]);
        fill_point(call->outputs, call->label_count, call->handle->record->inputs,
                   call->handle->nspin, chunk->points[i], NAN);
        call->flawed = true;
    }
    return true;
}

static bool evaluate_points(struct call *call, size_t np)
{
    struct chunk chunk = {0};
    size_t most = model_chunk(call->handle->record->models[call->order]);
    size_t size = np < most ? np : most;
    if (np == 0)
        return true;
    if (!chunk_allocate(&chunk, call, size)) {
        fail("%s: out of memory", call->handle->record->name);
        return false;
    }
    bool good = true;
    for (size_t first = 0; good && first < np; first += size) {
        chunk_fill(&chunk, call, first, np - first < size ? np - first : size);
        good = evaluate_chunk(call, &chunk);
        if (!good || chunk.floored_count == 0)
            continue;
        chunk_fill_floored(&chunk, call);
        good = evaluate_chunk(call, &chunk);
    }
    return good;
}

/* -- one call --------------------------------------------------------------------------------- */

static void set_zero(const struct call *call, size_t np)
{
    const struct handle *handle = call->handle;
    for (int l = 0; l < call->label_count; l++)
        if (call->outputs[l] && label_is_written(l, handle->record->inputs))
            memset(call->outputs[l], 0,
                   np * (size_t)label_width(l, handle->nspin) * sizeof(double));
}

static void set_nan(const struct call *call, size_t np)
{
    for (size_t i = 0; i < np; i++)
        fill_point(call->outputs, call->label_count, call->handle->record->inputs,
                   call->handle->nspin, i, NAN);
}

/* Lists what is wanted; the order is -1 where nothing is. */
static void list_wanted(struct call *call)
{
    const struct record *record = call->handle->record;
    call->order = -1;
    for (int l = 0; l < call->label_count; l++) {
        if (!call->outputs[l] || !label_is_written(l, record->inputs))
            continue;
        call->order = layout_of(l)->order;
        if (is_in_graphs(record, l))
            call->wanted[call->wanted_count++] = (unsigned char)l;
    }
}

static bool has_inputs(const struct record *record, const double *const inputs[VARIABLES])
{
    for (int v = 0; v < VARIABLES; v++)
        if (record->inputs & 1u << v && !inputs[v]) {
            fail("%s: the caller gives no %s", record->name, variable_name(v));
            return false;
        }
    return true;
}

/* False if any point has no result. */
static bool evaluate_with_cache(struct handle *handle, struct call *call, size_t np)
{
    struct cache *cache = cache_take(&handle->cache, np) ? &handle->cache : NULL;
    size_t changed = cache ? cache_reuse(cache, call, np) : np;
    bool good = evaluate_points(call, changed);
    if (!good)
        set_nan(call, np);
    good = good && !call->flawed;
    if (!cache)
        return good;
    if (good)
        cache_keep(cache, call, np, changed);
    else
        cache_drop(cache);
    cache_release(cache);
    return good;
}

/* Whether the functional can be asked for this at all. */
static bool is_possible(const struct handle *handle, const struct call *call)
{
    static const char *const names[] = {"exc", "vxc", "fxc", "kxc", "lxc"};
    const struct record *record = handle->record;
    if (handle->refused) {
        fail("%s could not be initialised: its results are NaN", record->name);
        return false;
    }
    if (call->order >= record->orders) {
        fail("%s has no %s; it has derivatives up to %s", record->name, names[call->order],
             names[record->orders - 1]);
        return false;
    }
    return has_inputs(record, call->inputs);
}

void evaluate(struct handle *handle, size_t np, const double *const inputs[VARIABLES],
              double *const *outputs, size_t label_count)
{
    struct call call = {.handle = handle,
                        .inputs = inputs,
                        .outputs = outputs,
                        .label_count = (int)label_count};
    list_wanted(&call);
    if (np == 0 || call.order < 0)
        return;
    bool possible = is_possible(handle, &call);
    if (possible)
        set_zero(&call, np);
    else
        set_nan(&call, np);
    if (!possible || !evaluate_with_cache(handle, &call, np))
        stop_program(handle->record->name);
}
