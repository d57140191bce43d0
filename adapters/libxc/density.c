/* Density variables of a chunk: living points, clamped as in xcnet/density.py. */

#include <math.h>
#include <string.h>

#include "internal.h"

/* The clamp of spin densities never goes below this, whatever threshold a caller sets. */
static const double SMALLEST_DENSITY = 1e-25;
/* Of the mean: opposite gradients leave this much, so that rounding makes no |grad n|^2 negative. */
static const double LEAST_REMAINDER = 0x1p-50;

/* One point's variables: spin resolved (sigma in order aa, ab, bb) or the totals of a closed
   shell. */
struct point {
    double values[VARIABLES][3];
};

/* Variables of a point as the caller gives them; false if one is NaN or infinite. */
static bool read_point(struct point *point, const struct call *call, size_t index)
{
    const struct handle *handle = call->handle;
    bool finite = true;
    *point = (struct point){{{0.0}}};
    for (int v = 0; v < VARIABLES; v++) {
        if (!(handle->record->inputs & 1u << v))
            continue;
        int width = variable_width(v, handle->nspin);
        for (int i = 0; i < width; i++) {
            point->values[v][i] = call->inputs[v][index * (size_t)width + (size_t)i];
            finite = finite && isfinite(point->values[v][i]);
        }
    }
    return finite;
}

static void resolve_spins(struct point *point)
{
    static const double share[VARIABLES] = {0.5, 0.25, 0.5, 0.5};
    for (int v = 0; v < VARIABLES; v++) {
        double value = share[v] * point->values[v][0];
        for (int i = 0; i < variable_width(v, POLARIZED); i++)
            point->values[v][i] = value;
    }
}

/* -- spins ------------------------------------------------------------------------------------ */

static void clamp_sigma(double sigma[3], const double rho[2], const double *tau, double floor)
{
    for (int s = 0; s < 2; s++) {
        sigma[2 * s] = fmax(sigma[2 * s], floor);
        if (tau)
            sigma[2 * s] = fmin(sigma[2 * s], 8.0 * rho[s] * tau[s]);
    }
    double mean = 0.5 * (sigma[0] + sigma[2]);
    sigma[1] = fmin(fmax(sigma[1], (LEAST_REMAINDER - 1.0) * mean), mean);
}

/* Clamps a living point; returns the spin channels (bits 1, 2) that were lifted to the floor. */
static unsigned clamp(struct point *point, const struct handle *handle)
{
    const struct thresholds *t = &handle->thresholds;
    unsigned inputs = handle->record->inputs, absent = 0;
    double *rho = point->values[RHO], *tau = point->values[TAU];
    double total = rho[0] + rho[1];
    double floor = fmax(0.5 * t->zeta * total, fmax(t->density, SMALLEST_DENSITY));
    for (int s = 0; s < 2; s++) {
        if (rho[s] <= floor)
            absent |= 1u << s;
        rho[s] = fmax(rho[s], floor);
        tau[s] = fmax(tau[s], t->tau);
    }
    if (inputs & 1u << SIGMA) {
        bool fhc = handle->enforce_fhc && inputs & 1u << TAU;
        clamp_sigma(point->values[SIGMA], rho, fhc ? tau : NULL, t->sigma * t->sigma);
    }
    return absent;
}

/* -- closed shells ---------------------------------------------------------------------------- */

/* The floor of 1 - |zeta| may lie above that of a closed shell. */
static bool has_closed_shell_graphs(const struct handle *handle)
{
    return handle->nspin == UNPOLARIZED && handle->record->closed_shell[0] &&
           handle->thresholds.zeta < 1.0;
}

/* Whether spin densities or gradients lie at their floor: sigma_ab has none, so that no totals
   stand for the clamped spins there. The graphs rely on the record's own floor, which the caller
   may have lowered. */
static bool is_floored(const struct point *point, const struct handle *handle)
{
    const struct thresholds *t = &handle->thresholds;
    double own = handle->record->thresholds.density;
    double floor = 2.0 * fmax(t->density, fmax(own, SMALLEST_DENSITY));
    return point->values[RHO][0] <= floor ||
           (handle->record->inputs & 1u << SIGMA &&
            point->values[SIGMA][0] < 4.0 * t->sigma * t->sigma);
}

/* The same as `clamp` of both spins, for a point without a floored one. */
static void clamp_totals(struct point *point, const struct handle *handle)
{
    unsigned inputs = handle->record->inputs;
    double *sigma = point->values[SIGMA], *tau = point->values[TAU];
    *tau = fmax(*tau, 2.0 * handle->thresholds.tau);
    if (handle->enforce_fhc && inputs & 1u << SIGMA && inputs & 1u << TAU)
        *sigma = fmin(*sigma, 8.0 * point->values[RHO][0] * *tau);
}

/* -- chunks ----------------------------------------------------------------------------------- */

static void append(struct chunk *chunk, const struct handle *handle, struct point *point,
                   size_t index)
{
    unsigned absent = 0;
    if (chunk->nspin == UNPOLARIZED)
        clamp_totals(point, handle);
    else {
        if (handle->nspin == UNPOLARIZED)
            resolve_spins(point);
        absent = clamp(point, handle);
    }
    chunk->absent[chunk->live] = (unsigned char)absent;
    chunk->points[chunk->live] = index;
    for (int v = 0; v < VARIABLES; v++) {
        size_t width = (size_t)variable_width(v, chunk->nspin);
        if (handle->record->inputs & 1u << v)
            memcpy(chunk->inputs[v] + chunk->live * width, point->values[v],
                   width * sizeof(double));
    }
    chunk->live++;
}

/* Whether a point has a density: others are zero, whatever a host that divides by the density
   gives for their gradient. */
static bool is_living(const struct point *point, const struct handle *handle)
{
    const double *rho = point->values[RHO];
    double total = rho[0] + rho[1];
    return !isfinite(total) || (total >= handle->thresholds.density && total > 0.0);
}

void chunk_fill(struct chunk *chunk, struct call *call, size_t first, size_t count)
{
    const struct handle *handle = call->handle;
    chunk->nspin = has_closed_shell_graphs(handle) ? UNPOLARIZED : POLARIZED;
    chunk->live = chunk->floored_count = 0;
    for (size_t i = first; i < first + count; i++) {
        struct point point;
        bool finite = read_point(&point, call, i);
        if (!is_living(&point, handle)) {
            continue;
        } else if (!finite) {
            fail("%s: the density variables are NaN or infinite at point %zu: its results are NaN",
                 handle->record->name, i);
            fill_point(call->outputs, call->label_count, handle->record->inputs, handle->nspin, i,
                       NAN);
            call->flawed = true;
        } else if (chunk->nspin == UNPOLARIZED && is_floored(&point, handle)) {
            chunk->floored[chunk->floored_count++] = i;
        } else {
            append(chunk, handle, &point, i);
        }
    }
}

void chunk_fill_floored(struct chunk *chunk, const struct call *call)
{
    chunk->nspin = POLARIZED;
    chunk->live = 0;
    for (size_t i = 0; i < chunk->floored_count; i++) {
        struct point point;
        if (read_point(&point, call, chunk->floored[i]))
            append(chunk, call->handle, &point, chunk->floored[i]);
    }
}
