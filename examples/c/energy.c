/* Energy and potential of a meta-GGA at two points, by libxc's own calls.
 *
 *     gcc -o energy energy.c -lxc
 *     xcnet exec -- ./energy MGGA_XC_NN_METAGGA
 */
#include <stdio.h>
#include <xc.h>

int main(int argc, char **argv)
{
  const char *name = argc > 1 ? argv[1] : "MGGA_XC_NN_METAGGA";
  /* Two points, spin-polarized: up, down; for sigma up-up, up-down, down-down. */
  const double rho[] = {0.3, 0.2, 0.05, 0.01}, sigma[] = {0.10, 0.08, 0.07, 0.02, 0.01, 0.006};
  const double lapl[4] = {0.0}, tau[] = {0.30, 0.20, 0.06, 0.09};
  double exc[2], vrho[4], vsigma[6], vlapl[4], vtau[4];
  xc_func_type functional;

  if (xc_func_init(&functional, xc_functional_get_number(name), XC_POLARIZED) != 0) {
    fprintf(stderr, "cannot use the functional %s\n", name);
    return 1;
  }
  xc_mgga_exc_vxc(&functional, 2, rho, sigma, lapl, tau, exc, vrho, vsigma, vlapl, vtau);
  printf("%s\n", functional.info->name);
  for (int i = 0; i < 2; i++) {
    printf("%.17g %.17g %.17g ", exc[i], vrho[2 * i], vrho[2 * i + 1]);
    printf("%.17g %.17g %.17g ", vsigma[3 * i], vsigma[3 * i + 1], vsigma[3 * i + 2]);
    printf("%.17g %.17g\n", vtau[2 * i], vtau[2 * i + 1]);
  }
  xc_func_end(&functional);
  return 0;
}
