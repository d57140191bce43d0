/* A program as users have it: compiled with libxc's own header, linked to libxc, knowing nothing
   of xcnet. Prints facts of a functional and its results at a few points. */

#include <stdio.h>
#include <stdlib.h>

#include <xc.h>

enum { POINTS = 4 };

static void list_functionals(const char *name)
{
    int count = xc_number_of_functionals(), length = xc_maximum_name_length(), found = 0;
    char **names = malloc((size_t)count * sizeof *names);
    for (int i = 0; i < count; i++)
        names[i] = malloc((size_t)length + 1);
    xc_available_functional_names(names);
    for (int i = 0; i < count; i++) {
        found += xc_functional_get_number(names[i]) == xc_functional_get_number(name);
        free(names[i]);
    }
    free(names);
    printf("listed %d\n", found);
}

int main(int argc, char **argv)
{
    double rho[2 * POINTS] = {0.3, 0.2, 1e-3, 2e-3, 0.0, 0.4, 0.0, 0.0};
    double sigma[3 * POINTS] = {0.1, 0.05, 0.2, 1e-7, 0.0, 1e-6, 0.0, 0.0, 0.3, 0.0, 0.0, 0.0};
    double tau[2 * POINTS] = {0.3, 0.4, 1e-4, 2e-4, 0.0, 0.6, 0.0, 0.0};
    double lapl[2 * POINTS] = {0.0}, zk[POINTS], vrho[2 * POINTS];
    double vsigma[3 * POINTS], vlapl[2 * POINTS], vtau[2 * POINTS];
    xc_func_type func;
    const char *name = argc > 1 ? argv[1] : "";
    if (xc_func_init(&func, xc_functional_get_number(name), XC_POLARIZED) != 0) {
        printf("refused\n");
        return 2;
    }
    printf("name %s\n", func.info->name);
    printf("cite %s\n", xc_func_reference_get_ref(xc_func_info_get_references(func.info, 0)));
    xc_mgga_exc_vxc(&func, POINTS, rho, sigma, lapl, tau, zk, vrho, vsigma, vlapl, vtau);
    for (int i = 0; i < POINTS; i++)
        printf("point %.17g %.17g %.17g %.17g %.17g %.17g %.17g %.17g\n", zk[i], vrho[2 * i],
               vrho[2 * i + 1], vsigma[3 * i], vsigma[3 * i + 1], vsigma[3 * i + 2], vtau[2 * i],
               vtau[2 * i + 1]);
    xc_func_end(&func);
    list_functionals(name);
    return 0;
}
