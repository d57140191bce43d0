! Energy and potential of a meta-GGA at two points, by libxc's Fortran interface.
!
!     gfortran -o energy energy.f90 -I/usr/include -lxcf03 -lxc
!     xcnet exec -- ./energy MGGA_XC_NN_METAGGA
program energy
  use, intrinsic :: iso_c_binding, only: c_size_t
  use xc_f03_lib_m
  implicit none
  integer, parameter :: dp = kind(1.0d0)
  integer(c_size_t), parameter :: points = 2
  ! Spin-polarized: up, down; for sigma up-up, up-down, down-down.
  real(dp) :: rho(4) = [0.3_dp, 0.2_dp, 0.05_dp, 0.01_dp]
  real(dp) :: sigma(6) = [0.10_dp, 0.08_dp, 0.07_dp, 0.02_dp, 0.01_dp, 0.006_dp]
  real(dp) :: lapl(4) = 0.0_dp
  real(dp) :: tau(4) = [0.30_dp, 0.20_dp, 0.06_dp, 0.09_dp]
  real(dp) :: exc(2), vrho(2, 2), vsigma(3, 2), vlapl(2, 2), vtau(2, 2)
  type(xc_f03_func_t) :: functional
  type(xc_f03_func_info_t) :: info
  character(len=100) :: name
  integer :: status, i

  name = "MGGA_XC_NN_METAGGA"
  if (command_argument_count() > 0) call get_command_argument(1, name)
  call xc_f03_func_init(functional, xc_f03_functional_get_number(trim(name)), XC_POLARIZED, status)
  if (status /= 0) then
    write (0, "(2a)") "cannot use the functional ", trim(name)
    stop 1
  end if
  info = xc_f03_func_get_info(functional)
  call xc_f03_mgga_exc_vxc(functional, points, rho, sigma, lapl, tau, &
                           exc, vrho, vsigma, vlapl, vtau)
  print "(a)", trim(xc_f03_func_info_get_name(info))
  do i = 1, 2
    print "(*(es24.16e3, 1x))", exc(i), vrho(:, i), vsigma(:, i), vtau(:, i)
  end do
  call xc_f03_func_end(functional)
end program energy
