/* libxc's functions that open, describe and set functionals. */

#include "entry.h"

/* -- a functional's life ---------------------------------------------------------------------- */

EXPORT int xc_func_init(xc_func_type *p, int functional, int nspin)
{
    struct record *record = record_by_number(functional);
    if (record)
        return handle_open(CALLER_HOST, p, record, nspin);
    HAND_OVER(-1, xc_func_init, p, functional, nspin);
}

EXPORT void xc_func_end(xc_func_type *p)
{
    struct handle *own = own_handle(p);
    if (own)
        handle_close(own, p);
    else
        HAND_OVER_VOID(xc_func_end, p);
}

EXPORT const xc_func_info_type *xc_func_get_info(const xc_func_type *p)
{
    const struct handle *own = own_handle(p);
    if (own)
        return &own->info;
    HAND_OVER(NULL, xc_func_get_info, p);
}

/* -- its info --------------------------------------------------------------------------------- */

#define INFO_MEMBER(type, none, member) \
    EXPORT type xc_func_info_get_##member(const xc_func_info_type *info) \
    { \
        if (is_own_info(info)) \
            return info->member; \
        HAND_OVER(none, xc_func_info_get_##member, info); \
    }

INFO_MEMBER(int, 0, number)
INFO_MEMBER(int, 0, kind)
INFO_MEMBER(const char *, "", name)
INFO_MEMBER(int, 0, family)
INFO_MEMBER(int, 0, flags)

EXPORT const func_reference_type *xc_func_info_get_references(const xc_func_info_type *info,
                                                              int number)
{
    if (is_own_info(info))
        return number >= 0 && number < MAX_REFERENCES ? info->refs[number] : NULL;
    HAND_OVER(NULL, xc_func_info_get_references, info, number);
}

#define REFERENCE_MEMBER(member) \
    EXPORT const char *xc_func_reference_get_##member(const func_reference_type *reference) \
    { \
        if (is_own_reference(reference)) \
            return reference->member; \
        HAND_OVER(NULL, xc_func_reference_get_##member, reference); \
    }

REFERENCE_MEMBER(ref)
REFERENCE_MEMBER(doi)
REFERENCE_MEMBER(bibtex)
REFERENCE_MEMBER(key)

/* -- external parameters: ours have none ------------------------------------------------------ */

EXPORT int xc_func_info_get_n_ext_params(const xc_func_info_type *info)
{
    if (is_own_info(info))
        return 0;
    HAND_OVER(0, xc_func_info_get_n_ext_params, info);
}

#define EXT_PARAM_FACT(type, none, fact) \
    EXPORT type xc_func_info_get_ext_params_##fact(const xc_func_info_type *info, int number) \
    { \
        if (is_own_info(info)) \
            return none; \
        HAND_OVER(none, xc_func_info_get_ext_params_##fact, info, number); \
    }

EXT_PARAM_FACT(const char *, NULL, name)
EXT_PARAM_FACT(const char *, NULL, description)
EXT_PARAM_FACT(double, 0.0, default_value)

static void no_parameter(const struct handle *handle)
{
    fail("%s has no external parameters", handle->record->name);
}

EXPORT void xc_func_set_ext_params(xc_func_type *p, const double *values)
{
    if (!own_handle(p))
        HAND_OVER_VOID(xc_func_set_ext_params, p, values);
}

EXPORT void xc_func_set_ext_params_name(xc_func_type *p, const char *name, double value)
{
    const struct handle *own = own_handle(p);
    if (!own) {
        HAND_OVER_VOID(xc_func_set_ext_params_name, p, name, value);
        return;
    }
    no_parameter(own);
    stop_program(own->record->name); /* as libxc does for a parameter that it does not know */
}

EXPORT void xc_func_get_ext_params(const xc_func_type *p, double *values)
{
    if (!own_handle(p))
        HAND_OVER_VOID(xc_func_get_ext_params, p, values);
}

EXPORT double xc_func_get_ext_params_name(const xc_func_type *p, const char *name)
{
    const struct handle *own = own_handle(p);
    if (!own)
        HAND_OVER(0.0, xc_func_get_ext_params_name, p, name);
    no_parameter(own);
    return 0.0;
}

EXPORT double xc_func_get_ext_params_value(const xc_func_type *p, int number)
{
    const struct handle *own = own_handle(p);
    if (!own)
        HAND_OVER(0.0, xc_func_get_ext_params_value, p, number);
    no_parameter(own);
    return 0.0;
}

/* -- thresholds ------------------------------------------------------------------------------- */

/* A value that is not positive leaves the threshold as it is. */
#define THRESHOLD(function, member) \
    EXPORT void function(xc_func_type *p, double value) \
    { \
        struct handle *own = own_handle(p); \
        __typeof__(&function) real = REAL(own ? own->host : CALLER_HOST, function); \
        if (real) \
            real(p, value); \
        if (own && value > 0.0) { \
            own->thresholds.member = value; \
            own->settings++; \
        } \
    }

THRESHOLD(xc_func_set_dens_threshold, density)
THRESHOLD(xc_func_set_zeta_threshold, zeta)
THRESHOLD(xc_func_set_sigma_threshold, sigma)
THRESHOLD(xc_func_set_tau_threshold, tau)

EXPORT void xc_func_set_fhc_enforcement(xc_func_type *p, int on)
{
    struct handle *own = own_handle(p);
    if (!own) {
        HAND_OVER_VOID(xc_func_set_fhc_enforcement, p, on);
        return;
    }
    own->enforce_fhc = on != 0;
    own->settings++;
}

/* -- exact exchange, nonlocal correlation, parts ----------------------------------------------- */

/* The share of exact exchange; at long range where the functional is range separated. */
static double full_exchange(const struct record *record)
{
    return record->exx != 0.0 ? record->exx : record->alpha;
}

EXPORT int xc_hyb_type(const xc_func_type *p)
{
    const struct handle *own = own_handle(p);
    if (!own)
        HAND_OVER(HYBRID_NONE, xc_hyb_type, p);
    if (own->record->flags & FLAGS_HYB_CAM)
        return HYBRID_CAM;
    return full_exchange(own->record) != 0.0 ? HYBRID_GLOBAL : HYBRID_NONE;
}

EXPORT double xc_hyb_exx_coef(const xc_func_type *p)
{
    const struct handle *own = own_handle(p);
    if (own)
        return full_exchange(own->record);
    HAND_OVER(0.0, xc_hyb_exx_coef, p);
}

EXPORT void xc_hyb_cam_coef(const xc_func_type *p, double *omega, double *alpha, double *beta)
{
    const struct handle *own = own_handle(p);
    if (!own) {
        HAND_OVER_VOID(xc_hyb_cam_coef, p, omega, alpha, beta);
        return;
    }
    *omega = own->record->omega;
    *alpha = full_exchange(own->record);
    *beta = own->record->beta;
}

EXPORT void xc_nlc_coef(const xc_func_type *p, double *b, double *c)
{
    if (own_handle(p))
        *b = *c = 0.0;
    else
        HAND_OVER_VOID(xc_nlc_coef, p, b, c);
}

EXPORT int xc_num_aux_funcs(const xc_func_type *p)
{
    if (own_handle(p))
        return 0;
    HAND_OVER(0, xc_num_aux_funcs, p);
}

EXPORT void xc_aux_func_ids(const xc_func_type *p, int *ids)
{
    if (!own_handle(p))
        HAND_OVER_VOID(xc_aux_func_ids, p, ids);
}

EXPORT void xc_aux_func_weights(const xc_func_type *p, double *weights)
{
    if (!own_handle(p))
        HAND_OVER_VOID(xc_aux_func_weights, p, weights);
}

/* -- the rest --------------------------------------------------------------------------------- */

#define FORWARD(result, none, name, parameters, arguments) \
    EXPORT result name parameters \
    { \
        __typeof__(&name) real = REAL(CALLER_HOST, name); \
        if (!real) \
            return none; \
        return real arguments; \
    }

FORWARDED_FUNCTIONS(FORWARD)
