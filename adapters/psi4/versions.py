"""What the adapter touches in Psi4, and which version brought it: the one place that knows.

The driver of Psi4 changes from version to version. Each attribute that is wrapped or called stands
here with the parameters that it is called with; where a version lacks one, the adapter does without
(`find`), or says which it needs (`problems`). ``xcnet psi4 --self-test`` reports all of them.

What differs between 1.3.2 and 1.11 (read in Psi4's sources, tags v1.8.2 and v1.9.1, 886caaa):

* excitations: ``energy('td-...')`` and `twoel_Hx_full` came between 1.3.2 and 1.8. The name after
  ``td-`` loses leading and trailing letters t and d there, so that ours are passed as ``td-scf``
  with ``dft_functional``; and the driver looks for `run_tdscf_energy` itself in its tables;
* iterations in C++, ``ORBITAL_OPTIMIZER_PACKAGE OOO``, came after 1.9: `openorbital_scf`;
* composite methods (``scf/cc-pv[dt]z``) drop ``dft_functional``, in all versions.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from importlib import import_module
from typing import Any

import psi4

#: The first version that this adapter was written for.
OLDEST = (1, 3, 2)


@dataclass(frozen=True)
class Hook:
    """An attribute of Psi4.

    Attributes
    ----------
    module, name : str
        Where it is; the name may be dotted.
    parameters : tuple of str
        Those that it must have, where it is written in Python.
    since : tuple of int
        The first version that has it.
    """

    module: str
    name: str
    parameters: tuple[str, ...] = ()
    since: tuple[int, ...] = OLDEST

    @property
    def text(self) -> str:
        """As it is written in Python."""
        return f"{self.module}.{self.name}"


_DRIVER = "psi4.driver"
_ROUTING = f"{_DRIVER}.procrouting"
_BUILDER = f"{_ROUTING}.dft.dft_builder"
_PARTS = ("func_dictionary", "npoints", "deriv", "restricted")

HOOKS = (
    *(Hook(f"{_DRIVER}.driver", name, ("name", "kwargs")) for name in ("energy", "gradient")),
    *(Hook(f"{_DRIVER}.driver", name, ("name", "kwargs")) for name in ("optimize", "frequency")),
    Hook(f"{_DRIVER}.driver", "properties"),
    Hook(f"{_DRIVER}.driver", "hessian", ("name", "kwargs")),
    Hook(f"{_DRIVER}.p4util", "OptionsState.restore"),
    Hook(_BUILDER, "functionals"),
    Hook(_BUILDER, "build_superfunctional_from_dictionary", _PARTS),
    Hook(_BUILDER, "check_consistency", ("func_dictionary",)),
    Hook(f"{_ROUTING}.dft", "build_superfunctional", ("name", "restricted")),
    Hook(f"{_ROUTING}.proc", "scf_wavefunction_factory", ("name",)),
    Hook(f"{_ROUTING}.proc_table", "procedures"),
    Hook(f"{_ROUTING}.response.scf_response", "property_dicts"),
    *(
        Hook("psi4.core", name)
        for name in (
            "timer_on",
            "timer_off",
            "clean",
            "scfgrad",
            "scfhess",
            "get_option",
            "prepare_options_for_module",
            "Matrix.from_array",
            "BasisExtents.maxR",
            "BasisFunctions.compute_functions",
            "BasisFunctions.basis_values",
            "DFTGrid.build",
            "DFTGrid.blocks",
            "BlockOPoints.functions_local_to_global",
            "Molecule.from_arrays",
            "SuperFunctional.x_functionals",
            "SuperFunctional.c_functionals",
            "SuperFunctional.set_name",
            "SuperFunctional.set_description",
            "HF.functional",
            "HF.initialize",
            "HF.compute_energy",
            "HF.compute_E",
            "HF.finalize_energy",
            "HF.form_F",
            "HF.form_initial_F",
            "HF.set_energies",
            "HF.get_energies",
            "HF.soscf_update",
            "HF.cphf_solve",
            "HF.cphf_Hx",
            "HF.twoel_Hx",
            "Wavefunction.aotoso",
            "Wavefunction.Da_subset",
        )
    ),
    Hook("psi4.core", "RHF.twoel_Hx_full", since=(1, 8)),
    Hook(f"{_ROUTING}.proc", "run_tdscf_energy", ("name", "kwargs"), since=(1, 8)),
    Hook("psi4.core", "HF.openorbital_scf", since=(1, 11)),
)


def find(module: str, name: str) -> Any:
    """Attribute of a module of Psi4; None where this version lacks it."""
    try:
        owner = psi4.core if module == "psi4.core" else import_module(module)
        return reduce(getattr, name.split("."), owner)
    except (ImportError, AttributeError):
        return None


def problems() -> Iterator[tuple[Hook, str]]:
    """What this version of Psi4 lacks or has in another form than the adapter expects."""
    for hook in HOOKS:
        attribute = find(hook.module, hook.name)
        if attribute is None:
            if present() >= hook.since:
                yield hook, "is missing"
        elif hook.parameters and callable(attribute):
            names = inspect.signature(attribute).parameters
            lacking = [name for name in hook.parameters if name not in names]
            if lacking:
                yield hook, f"has no parameter {', '.join(lacking)}, but ({', '.join(names)})"


def present() -> tuple[int, ...]:
    """Version of this Psi4 as numbers; of a development version those that it has."""
    numbers = []
    for word in psi4.__version__.split("."):
        digits = word[: len(word) - len(word.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)
