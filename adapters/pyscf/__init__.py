"""PySCF: every registered functional by its name in ``mf.xc``.

After ``install()`` (or ``attach(mf)`` for one object) ``mf.xc`` may hold any name, alias, id (as a
text) or composite expression that the registry knows, mixed freely with PySCF's own functionals,
exact exchange and range separation: ``"NN-metaGGA"``, ``".5*NN-metaGGA + .5*PBE"``,
``"0.25*HF + 0.75*PBE_clone"``. ``mf.xc`` stays the string that the user wrote.

::

    from pyscf import dft, gto
    import xcnet.adapters.pyscf

    xcnet.adapters.pyscf.install()
    mf = dft.UKS(gto.M(atom="O", spin=2, basis="def2-svp"), xc="NN-metaGGA")
    mf.kernel()                                # as always
    xcnet.adapters.pyscf.converge(mf)          # or with help for hard cases

How: every Kohn-Sham object of PySCF evaluates its functional through ``LibXCMixin.libxc``, the
module ``pyscf.dft.libxc``. An object that looks like this module takes its place. Expressions
are read by PySCF's own parser, with our names spliced in; their neural terms are evaluated by
`xcnet.functional`, all other terms and the exact exchange by whatever was there before.
Expressions without a neural functional are handed on unchanged.

`hooks` lists the methods of PySCF that are told about neural functionals first:

- gradients include the response of the grid by default;
- Hessians come from differences of gradients where that response, which PySCF's analytic ones
  lack, is measured to matter;
- nonlocal functionals (``NN-NRA-Nagai2020``) need the density on the whole grid at once. RKS, UKS
  and ROKS of molecules have energies, gradients, Hessians, ``newton()`` and internal stability;
- whatever PySCF or the functional cannot do is refused with an error that says what to do instead.
"""

from __future__ import annotations

from xcnet import extras
from xcnet.errors import MissingPackageError, XCNetError

try:
    import pyscf as _host  # noqa: F401
except ImportError as error:
    raise MissingPackageError(
        f"the PySCF adapter needs PySCF: {extras.hint('pyscf')}", package="pyscf"
    ) from error

from xcnet.adapters.pyscf.mismatch import moved, refuse_old

refuse_old()
try:
    from xcnet.adapters.pyscf.convergence import converge
    from xcnet.adapters.pyscf.installation import attach, install, uninstall
except XCNetError:
    raise
except (AttributeError, ImportError) as error:  # a PySCF too old, or newer than all that is known
    raise moved(str(error)) from error

__all__ = ["attach", "converge", "install", "uninstall"]
