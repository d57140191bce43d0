/* A program that does not look at what xc_func_init returns. */

#include <stdio.h>
#include <stdlib.h>
#include <xc.h>
int main(int argc, char **argv)
{
    double rho = 0.3, sigma = 0.1, lapl = 0.0, tau = 0.3, zk = 0.0;
    xc_func_type func;
    xc_func_init(&func, atoi(argv[1]), XC_UNPOLARIZED);
    xc_mgga_exc(&func, 1, &rho, &sigma, &lapl, &tau, &zk);
    printf("%g\n", zk);
    return 0;
}
