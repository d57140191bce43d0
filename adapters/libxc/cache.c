/* The end of the previous call, per handle.

   Psi4 always passes arrays of full length, whose end is left over from the call before where a
   block has fewer points: points at the end whose inputs are bitwise the same keep their
   results. A call that finds the cache in use by another thread does without. */

#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum { MIN_POINTS = LANES, MAX_POINTS = 4 * CHUNK }; /* a few points are evaluated sooner */

bool cache_take(struct cache *cache, size_t np)
{
    return np >= MIN_POINTS && np <= MAX_POINTS &&
           !atomic_flag_test_and_set_explicit(&cache->busy, memory_order_acquire);
}

void cache_release(struct cache *cache)
{
    atomic_flag_clear_explicit(&cache->busy, memory_order_release);
}

/* Number of points before the longest common end of two arrays. */
static size_t different(const double *a, const double *b, size_t np, size_t width)
{
    size_t n = np * width;
    while (n > 0 && memcmp(&a[n - 1], &b[n - 1], sizeof *a) == 0)
        n--;
    return (n + width - 1) / width;
}

static bool serves(const struct cache *cache, const struct call *call, size_t np)
{
    if (cache->np != np || cache->order != call->order || cache->settings != call->handle->settings)
        return false;
    for (int l = 0; l < call->label_count; l++)
        if (call->outputs[l] && !cache->outputs[l] && label_is_written(l, call->handle->record->inputs))
            return false;
    return true;
}

size_t cache_reuse(const struct cache *cache, const struct call *call, size_t np)
{
    size_t rest = 0;
    int nspin = call->handle->nspin;
    if (!serves(cache, call, np))
        return np;
    for (int v = 0; v < VARIABLES; v++)
        if (cache->inputs[v]) {
            size_t width = (size_t)variable_width(v, nspin);
            size_t n = different(cache->inputs[v], call->inputs[v], np, width);
            rest = n > rest ? n : rest;
        }
    for (int l = 0; l < call->label_count; l++)
        if (call->outputs[l] && cache->outputs[l]) {
            size_t width = (size_t)label_width(l, nspin);
            memcpy(call->outputs[l] + rest * width, cache->outputs[l] + rest * width,
                   (np - rest) * width * sizeof(double));
        }
    return rest;
}

static bool make_room(struct cache *cache, const struct call *call, size_t np)
{
    size_t doubles = 0;
    int nspin = call->handle->nspin;
    for (int v = 0; v < VARIABLES; v++)
        if (call->handle->record->inputs & 1u << v)
            doubles += (size_t)variable_width(v, nspin);
    for (int l = 0; l < call->label_count; l++)
        if (call->outputs[l])
            doubles += (size_t)label_width(l, nspin);
    if (doubles * np > cache->capacity) {
        free(cache->store);
        cache->store = malloc(doubles * np * sizeof(double));
        cache->capacity = cache->store ? doubles * np : 0;
    }
    return cache->store != NULL;
}

/* Keeps all points of a call in a new layout. */
static void keep_all(struct cache *cache, const struct call *call, size_t np)
{
    cache->np = 0;
    if (!make_room(cache, call, np))
        return;
    double *next = cache->store;
    for (int v = 0; v < VARIABLES; v++) {
        bool used = call->handle->record->inputs & 1u << v;
        cache->inputs[v] = used ? next : NULL;
        next += used ? np * (size_t)variable_width(v, call->handle->nspin) : 0;
    }
    for (int l = 0; l < LABELS; l++) {
        bool used = l < call->label_count && call->outputs[l] &&
                    label_is_written(l, call->handle->record->inputs);
        cache->outputs[l] = used ? next : NULL;
        next += used ? np * (size_t)label_width(l, call->handle->nspin) : 0;
    }
    cache->np = np;
    cache->order = call->order;
    cache->settings = call->handle->settings;
}

void cache_keep(struct cache *cache, const struct call *call, size_t np, size_t changed)
{
    int nspin = call->handle->nspin;
    if (changed == np)
        keep_all(cache, call, np);
    if (cache->np != np)
        return;
    for (int v = 0; v < VARIABLES; v++)
        if (cache->inputs[v])
            memcpy(cache->inputs[v], call->inputs[v],
                   changed * (size_t)variable_width(v, nspin) * sizeof(double));
    for (int l = 0; changed > 0 && l < LABELS; l++) {
        if (l < call->label_count && cache->outputs[l] && call->outputs[l])
            memcpy(cache->outputs[l], call->outputs[l],
                   changed * (size_t)label_width(l, nspin) * sizeof(double));
        else
            cache->outputs[l] = NULL; /* not wanted this time: those held are of other points */
    }
}

void cache_drop(struct cache *cache)
{
    free(cache->store);
    cache->store = NULL;
    cache->capacity = cache->np = 0;
}
