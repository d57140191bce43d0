/* A program's shared object that is linked to a libxc and calls all of it: client_xc_... calls
   xc_... through its own imports, which xcnet_patch_object redirects. */

#include "libxc_api.h"

/* Not in every version of libxc. */
#pragma weak xc_reference_key
#pragma weak xc_func_reference_get_key
#pragma weak xc_func_set_fhc_enforcement
#pragma weak xc_func_get_ext_params
#pragma weak xc_func_get_ext_params_name
#pragma weak xc_func_get_ext_params_value
#pragma weak xc_hyb_type

#define CALL_INFO(result, none, name, parameters, arguments) \
    result client_##name parameters \
    { \
        return name arguments; \
    }
#define ARGUMENT(x) , x
#define CALL_EVALUATION(FAMILY, name, OUT) \
    void client_##name(const xc_func_type *p, size_t np FAMILY##_INPUTS(IN_PARAMETER) \
                           OUT(FAMILY, OUT_PARAMETER)) \
    { \
        name(p, np FAMILY##_INPUTS(ARGUMENT) OUT(FAMILY, ARGUMENT)); \
    }

INFO_FUNCTIONS(CALL_INFO)
FORWARDED_FUNCTIONS(CALL_INFO)
EVALUATION_FUNCTIONS(CALL_EVALUATION)
