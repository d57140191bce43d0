"""Kohn-Sham calculations in PySCF and what is kept of them.

In: a system, a functional's name, settings. Out: converged energies, densities on grids in libxc's
variables, ground states, each kept in files that are checked when they are read.
"""
