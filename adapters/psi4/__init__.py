"""Psi4: every registered functional by its name in ``energy('...')``.

Importing this package is all there is to do: one line in an input file, no line at all after
``xcnet psi4 --install-hook``, or ``xcnet psi4 input.dat``. Names and aliases then work wherever
Psi4 takes the name of a functional, in any case::

    import xcnet.adapters.psi4

    energy('nn-metagga')                                  # gradient, optimize, frequency ...
    energy('nn-metagga/cc-pvdz')
    energy('my-functional-d4')                            # whose record has parameters of D4
    energy('scf', dft_functional={
        "name": "mixed",
        "x_functionals": {"MGGA_XC_NN_METAGGA": {"alpha": 0.75}},
        "x_hf": {"alpha": 0.25},
        "c_functionals": {},
    })

How: Psi4's compiled core asks libxc by name. Its calls are led to a library that answers for our
functionals, evaluates their graphs natively, and hands on all others to the real libxc
(`xcnet.native`); the names are entered into the tables of Psi4's Python driver (`registration`).
What Psi4 cannot do with a functional is refused before its C++ runs (`guards`).

Nonlocal functionals (``NN-NRA-Nagai2020``) need the density on the whole grid at once and are
evaluated in Python, through Psi4's own self-consistent field iterations (`nonlocal_hooks`).
"""

from __future__ import annotations

from xcnet.errors import MissingPackageError

try:
    import psi4 as _host  # noqa: F401
except ImportError as error:
    raise MissingPackageError(
        f"the Psi4 adapter needs Psi4 in this Python ({error}): see https://psicode.org/installs",
        package="psi4",
    ) from error

from xcnet.adapters.psi4.installation import install, uninstall

install()

__all__ = ["install", "uninstall"]
