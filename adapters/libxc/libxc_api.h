/* What libxcnet knows of libxc 5, 6 and 7: constants, the beginning of two structures, and the
   entry points, all written down here because no header of libxc is needed to build. */

#ifndef XCNET_LIBXC_API_H
#define XCNET_LIBXC_API_H

#include <stddef.h>

#include "labels.h"

enum { UNPOLARIZED = 1, POLARIZED = 2 };
enum { KIND_EXCHANGE = 0, KIND_KINETIC = 3 };
enum {
    FAMILY_UNKNOWN = -1,
    FAMILY_LDA = 1,
    FAMILY_GGA = 2,
    FAMILY_MGGA = 4,
    FAMILY_HYB_GGA = 32,
    FAMILY_HYB_MGGA = 64,
    FAMILY_HYB_LDA = 128
};
enum { FLAGS_HAVE_EXC = 1, FLAGS_HAVE_VXC = 2, FLAGS_HYB_CAM = 256 };
enum { HYBRID_NONE = 0, HYBRID_GLOBAL = 1, HYBRID_CAM = 2 };
enum { MAX_REFERENCES = 5 };

/* libxc's functionals whose handles ours are made from. */
enum { LDA_X = 1, GGA_X_PBE = 101, MGGA_X_TPSS = 202 };

/* Starts with a pointer to its xc_func_info_type; all else differs between versions. */
typedef struct xc_func_type xc_func_type;

/* The key came with libxc 6. */
typedef struct {
    const char *ref, *doi, *bibtex, *key;
} func_reference_type;

/* The members up to dens_threshold are the same in libxc 5, 6 and 7. What follows are external
   parameters and functions; zero means none of them. */
typedef struct {
    int number;
    int kind;
    const char *name;
    int family;
    const func_reference_type *refs[MAX_REFERENCES];
    int flags;
    double dens_threshold;
    void *others[32];
} xc_func_info_type;

/* F(result, value without a libxc, name, parameters, arguments): everything but evaluation. */
#define INFO_FUNCTIONS(F) \
    F(int, -1, xc_functional_get_number, (const char *name), (name)) \
    F(char *, NULL, xc_functional_get_name, (int number), (number)) \
    F(int, FAMILY_UNKNOWN, xc_family_from_id, (int id, int *family, int *number), \
      (id, family, number)) \
    F(int, 0, xc_number_of_functionals, (void), ()) \
    F(int, 0, xc_maximum_name_length, (void), ()) \
    F(void, , xc_available_functional_numbers, (int *list), (list)) \
    F(void, , xc_available_functional_numbers_by_name, (int *list), (list)) \
    F(void, , xc_available_functional_names, (char **list), (list)) \
    F(int, -1, xc_func_init, (xc_func_type *p, int functional, int nspin), \
      (p, functional, nspin)) \
    F(void, , xc_func_end, (xc_func_type *p), (p)) \
    F(const xc_func_info_type *, NULL, xc_func_get_info, (const xc_func_type *p), (p)) \
    F(int, 0, xc_func_info_get_number, (const xc_func_info_type *info), (info)) \
    F(int, 0, xc_func_info_get_kind, (const xc_func_info_type *info), (info)) \
    F(const char *, "", xc_func_info_get_name, (const xc_func_info_type *info), (info)) \
    F(int, 0, xc_func_info_get_family, (const xc_func_info_type *info), (info)) \
    F(int, 0, xc_func_info_get_flags, (const xc_func_info_type *info), (info)) \
    F(const func_reference_type *, NULL, xc_func_info_get_references, \
      (const xc_func_info_type *info, int number), (info, number)) \
    F(int, 0, xc_func_info_get_n_ext_params, (const xc_func_info_type *info), (info)) \
    F(const char *, NULL, xc_func_info_get_ext_params_name, \
      (const xc_func_info_type *info, int number), (info, number)) \
    F(const char *, NULL, xc_func_info_get_ext_params_description, \
      (const xc_func_info_type *info, int number), (info, number)) \
    F(double, 0.0, xc_func_info_get_ext_params_default_value, \
      (const xc_func_info_type *info, int number), (info, number)) \
    F(const char *, NULL, xc_func_reference_get_ref, (const func_reference_type *r), (r)) \
    F(const char *, NULL, xc_func_reference_get_doi, (const func_reference_type *r), (r)) \
    F(const char *, NULL, xc_func_reference_get_bibtex, (const func_reference_type *r), (r)) \
    F(const char *, NULL, xc_func_reference_get_key, (const func_reference_type *r), (r)) \
    F(void, , xc_func_set_dens_threshold, (xc_func_type *p, double value), (p, value)) \
    F(void, , xc_func_set_zeta_threshold, (xc_func_type *p, double value), (p, value)) \
    F(void, , xc_func_set_sigma_threshold, (xc_func_type *p, double value), (p, value)) \
    F(void, , xc_func_set_tau_threshold, (xc_func_type *p, double value), (p, value)) \
    F(void, , xc_func_set_fhc_enforcement, (xc_func_type *p, int on), (p, on)) \
    F(void, , xc_func_set_ext_params, (xc_func_type *p, const double *values), (p, values)) \
    F(void, , xc_func_set_ext_params_name, \
      (xc_func_type *p, const char *name, double value), (p, name, value)) \
    F(void, , xc_func_get_ext_params, (const xc_func_type *p, double *values), (p, values)) \
    F(double, 0.0, xc_func_get_ext_params_name, (const xc_func_type *p, const char *name), \
      (p, name)) \
    F(double, 0.0, xc_func_get_ext_params_value, (const xc_func_type *p, int number), \
      (p, number)) \
    F(int, HYBRID_NONE, xc_hyb_type, (const xc_func_type *p), (p)) \
    F(double, 0.0, xc_hyb_exx_coef, (const xc_func_type *p), (p)) \
    F(void, , xc_hyb_cam_coef, \
      (const xc_func_type *p, double *omega, double *alpha, double *beta), \
      (p, omega, alpha, beta)) \
    F(void, , xc_nlc_coef, (const xc_func_type *p, double *b, double *c), (p, b, c)) \
    F(int, 0, xc_num_aux_funcs, (const xc_func_type *p), (p)) \
    F(void, , xc_aux_func_ids, (const xc_func_type *p, int *ids), (p, ids)) \
    F(void, , xc_aux_func_weights, (const xc_func_type *p, double *weights), (p, weights))

/* Forwarded as they are, so that the library can stand in for libxc altogether. */
#define FORWARDED_FUNCTIONS(F) \
    F(void, , xc_version, (int *major, int *minor, int *micro), (major, minor, micro)) \
    F(const char *, "", xc_version_string, (void), ()) \
    F(const char *, "", xc_reference, (void), ()) \
    F(const char *, "", xc_reference_doi, (void), ()) \
    F(const char *, "", xc_reference_key, (void), ()) \
    F(xc_func_type *, NULL, xc_func_alloc, (void), ()) \
    F(void, , xc_func_free, (xc_func_type *p), (p))

#define IN_PARAMETER(x) , const double *x
#define OUT_PARAMETER(x) , double *x

#define DECLARE_EVALUATION(FAMILY, name, OUT) \
    void name(const xc_func_type *p, size_t np FAMILY##_INPUTS(IN_PARAMETER) \
                  OUT(FAMILY, OUT_PARAMETER));
#define DECLARE_INFO(result, none, name, parameters, arguments) result name parameters;

INFO_FUNCTIONS(DECLARE_INFO)
FORWARDED_FUNCTIONS(DECLARE_INFO)
EVALUATION_FUNCTIONS(DECLARE_EVALUATION)

#endif
