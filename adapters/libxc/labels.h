/* libxc's argument lists: which inputs and outputs each family and derivative order has.

   Every other place is generated from these lists. The order of the outputs is that of libxc's
   header: the products of the variables in the order rho, sigma, lapl, tau. */

#ifndef XCNET_LABELS_H
#define XCNET_LABELS_H

#define LDA_INPUTS(M) M(rho)
#define GGA_INPUTS(M) M(rho) M(sigma)
#define MGGA_INPUTS(M) M(rho) M(sigma) M(lapl) M(tau)

#define LDA_EXC(M) M(zk)
#define LDA_VXC(M) M(vrho)
#define LDA_FXC(M) M(v2rho2)
#define LDA_KXC(M) M(v3rho3)
#define LDA_LXC(M) M(v4rho4)

#define GGA_EXC(M) M(zk)
#define GGA_VXC(M) M(vrho) M(vsigma)
#define GGA_FXC(M) M(v2rho2) M(v2rhosigma) M(v2sigma2)
#define GGA_KXC(M) M(v3rho3) M(v3rho2sigma) M(v3rhosigma2) M(v3sigma3)
#define GGA_LXC(M) M(v4rho4) M(v4rho3sigma) M(v4rho2sigma2) M(v4rhosigma3) M(v4sigma4)

#define MGGA_EXC(M) M(zk)
#define MGGA_VXC(M) M(vrho) M(vsigma) M(vlapl) M(vtau)
#define MGGA_FXC(M) \
    M(v2rho2) M(v2rhosigma) M(v2rholapl) M(v2rhotau) M(v2sigma2) \
    M(v2sigmalapl) M(v2sigmatau) M(v2lapl2) M(v2lapltau) M(v2tau2)
#define MGGA_KXC(M) \
    M(v3rho3) M(v3rho2sigma) M(v3rho2lapl) M(v3rho2tau) M(v3rhosigma2) \
    M(v3rhosigmalapl) M(v3rhosigmatau) M(v3rholapl2) M(v3rholapltau) M(v3rhotau2) \
    M(v3sigma3) M(v3sigma2lapl) M(v3sigma2tau) M(v3sigmalapl2) M(v3sigmalapltau) \
    M(v3sigmatau2) M(v3lapl3) M(v3lapl2tau) M(v3lapltau2) M(v3tau3)
#define MGGA_LXC(M) \
    M(v4rho4) M(v4rho3sigma) M(v4rho3lapl) M(v4rho3tau) M(v4rho2sigma2) \
    M(v4rho2sigmalapl) M(v4rho2sigmatau) M(v4rho2lapl2) M(v4rho2lapltau) M(v4rho2tau2) \
    M(v4rhosigma3) M(v4rhosigma2lapl) M(v4rhosigma2tau) M(v4rhosigmalapl2) \
    M(v4rhosigmalapltau) M(v4rhosigmatau2) M(v4rholapl3) M(v4rholapl2tau) \
    M(v4rholapltau2) M(v4rhotau3) M(v4sigma4) M(v4sigma3lapl) M(v4sigma3tau) \
    M(v4sigma2lapl2) M(v4sigma2lapltau) M(v4sigma2tau2) M(v4sigmalapl3) \
    M(v4sigmalapl2tau) M(v4sigmalapltau2) M(v4sigmatau3) M(v4lapl4) M(v4lapl3tau) \
    M(v4lapl2tau2) M(v4lapltau3) M(v4tau4)

/* Outputs of the entry points xc_lda_exc, xc_lda_exc_vxc, ... of a family. */
#define OUT_exc(FAMILY, M) FAMILY##_EXC(M)
#define OUT_vxc(FAMILY, M) FAMILY##_VXC(M)
#define OUT_fxc(FAMILY, M) FAMILY##_FXC(M)
#define OUT_kxc(FAMILY, M) FAMILY##_KXC(M)
#define OUT_lxc(FAMILY, M) FAMILY##_LXC(M)
#define OUT_exc_vxc(FAMILY, M) OUT_exc(FAMILY, M) OUT_vxc(FAMILY, M)
#define OUT_exc_vxc_fxc(FAMILY, M) OUT_exc_vxc(FAMILY, M) OUT_fxc(FAMILY, M)
#define OUT_exc_vxc_fxc_kxc(FAMILY, M) OUT_exc_vxc_fxc(FAMILY, M) OUT_kxc(FAMILY, M)
#define OUT_vxc_fxc(FAMILY, M) OUT_vxc(FAMILY, M) OUT_fxc(FAMILY, M)
#define OUT_vxc_fxc_kxc(FAMILY, M) OUT_vxc_fxc(FAMILY, M) OUT_kxc(FAMILY, M)
#define OUT_all(FAMILY, M) OUT_exc_vxc_fxc_kxc(FAMILY, M) OUT_lxc(FAMILY, M)

/* E(family, entry point, outputs) for all entry points of a family. */
#define FAMILY_FUNCTIONS(E, FAMILY, family) \
    E(FAMILY, xc_##family, OUT_all) \
    E(FAMILY, xc_##family##_exc, OUT_exc) \
    E(FAMILY, xc_##family##_vxc, OUT_vxc) \
    E(FAMILY, xc_##family##_fxc, OUT_fxc) \
    E(FAMILY, xc_##family##_kxc, OUT_kxc) \
    E(FAMILY, xc_##family##_lxc, OUT_lxc) \
    E(FAMILY, xc_##family##_exc_vxc, OUT_exc_vxc) \
    E(FAMILY, xc_##family##_exc_vxc_fxc, OUT_exc_vxc_fxc) \
    E(FAMILY, xc_##family##_exc_vxc_fxc_kxc, OUT_exc_vxc_fxc_kxc) \
    E(FAMILY, xc_##family##_vxc_fxc, OUT_vxc_fxc) \
    E(FAMILY, xc_##family##_vxc_fxc_kxc, OUT_vxc_fxc_kxc)

#define EVALUATION_FUNCTIONS(E) \
    FAMILY_FUNCTIONS(E, LDA, lda) \
    FAMILY_FUNCTIONS(E, GGA, gga) \
    FAMILY_FUNCTIONS(E, MGGA, mgga)

#endif
