/* libxc's functions that evaluate: xc_lda ... xc_mgga_vxc_fxc_kxc. */

#include "entry.h"

#define INPUT_ENTRY(x) [V_##x] = x,
#define OUTPUT_ENTRY(x) [L_##x] = x,
#define ARGUMENT(x) , x

enum { V_rho = RHO, V_sigma = SIGMA, V_lapl = LAPL, V_tau = TAU };

#define EVALUATION_FUNCTION(FAMILY, name, OUT) \
    EXPORT void name(const xc_func_type *p, size_t np FAMILY##_INPUTS(IN_PARAMETER) \
                         OUT(FAMILY, OUT_PARAMETER)) \
    { \
        struct handle *own = own_handle(p); \
        if (own) { \
            const double *const inputs[VARIABLES] = {FAMILY##_INPUTS(INPUT_ENTRY)}; \
            double *const outputs[] = {OUT(FAMILY, OUTPUT_ENTRY)}; \
            evaluate(own, np, inputs, outputs, sizeof outputs / sizeof *outputs); \
            return; \
        } \
        __typeof__(&name) real = REAL(CALLER_HOST, name); \
        if (real) \
            real(p, np FAMILY##_INPUTS(ARGUMENT) OUT(FAMILY, ARGUMENT)); \
    }

EVALUATION_FUNCTIONS(EVALUATION_FUNCTION)
