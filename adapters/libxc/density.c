/* Density variables of a chunk: living points, spin resolved, clamped as in xcnet/density.py. */

#include <math.h>

#include "internal.h"

/* The clamp of spin densities never goes below this, whatever threshold a caller sets. */
static const double SMALLEST_DENSITY = 1e-25;
/* Of the mean: opposite gradients leave this much, so that rounding makes no |grad n|^2 negative. */
static const double LEAST_REMAINDER = 0x1p-50;

/* One point's variables; sigma in order (aa, ab, bb). */
struct point {
    double values[VARIABLES][3];
};

/* Spin-resolved variables of a point; false if a value is NaN or infinite. */
static bool read_point(struct point *point, unsigned variables, int nspin,
                       const double *const inputs[VARIABLES], size_t index)
{
    static const double share[VARIABLES] = {0.5, 0.25, 0.5, 0.5};
    bool finite = true;
    for (int v = 0; v < VARIABLES; v++) {
        if (!(variables & 1u << v))
            continue;
        int width = variable_width(v, nspin);
        const double *given = inputs[v] + index * (size_t)width;
        for (int i = 0; i < variable_width(v, POLARIZED); i++) {
            double value = nspin == POLARIZED ? given[i] : given[0] * share[v];
            finite = finite && isfinite(value);
            point->values[v][i] = value;
        }
    }
    return finite;
}

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
static unsigned clamp(struct point *point, double total, const struct handle *handle)
{
    const struct thresholds *t = &handle->thresholds;
    unsigned inputs = handle->record->inputs, absent = 0;
    double *rho = point->values[RHO], *tau = point->values[TAU];
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

static void append(struct chunk *chunk, const struct point *point, unsigned variables)
{
    for (int v = 0; v < VARIABLES; v++) {
        if (!(variables & 1u << v))
            continue;
        int width = variable_width(v, POLARIZED);
        double *out = chunk->inputs[v] + chunk->live * (size_t)width;
        for (int i = 0; i < width; i++)
            out[i] = point->values[v][i];
    }
}

void chunk_fill(struct chunk *chunk, struct call *call, size_t first, size_t count)
{
    const struct handle *handle = call->handle;
    unsigned variables = handle->record->inputs;
    chunk->live = 0;
    for (size_t i = first; i < first + count; i++) {
        struct point point = {{{0.0}}};
        if (!read_point(&point, variables, handle->nspin, call->inputs, i)) {
            fail("%s: the density variables are NaN or infinite at point %zu: its results are zero",
                 handle->record->name, i);
            call->flawed = true;
            continue;
        }
        double total = point.values[RHO][0] + point.values[RHO][1];
        if (!(total >= handle->thresholds.density && total > 0.0))
            continue;
        chunk->absent[chunk->live] = (unsigned char)clamp(&point, total, handle);
        chunk->points[chunk->live] = i;
        append(chunk, &point, variables);
        chunk->live++;
    }
}
