"""The forms in which `compute` takes its density variables, read into one mapping.

pylibxc's ``compute(inp, output, do_exc, do_vxc, ...)`` has a mapping and flags where
``compute(rho, sigma, tau)`` and ``compute(rho, sigma, lapl, tau)`` have arrays; an array in the
place of a flag tells them apart.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

import numpy as np

from xcnet.errors import ArgumentTypeError

FORMS = (
    "compute({'rho': rho, 'sigma': sigma, 'tau': tau}), compute(rho, sigma, tau), "
    "compute(rho, sigma, lapl, tau) or compute(rho=rho, sigma=sigma, tau=tau)"
)


def read(
    inp: Any, output: Any, do_exc: Any, do_vxc: Any, named: Mapping[str, Any]
) -> tuple[dict[str, Any], MutableMapping[str, Any] | None, bool, bool]:
    """Density variables by label, output arrays, and the two flags that arrays may stand for.

    Parameters
    ----------
    inp, output, do_exc, do_vxc
        As `compute` gets them in the first four places.
    named : mapping
        Density variables that were given by keyword; None stands for one that was not.

    Raises
    ------
    ArgumentTypeError
        For a variable that is given twice, and for arrays where flags belong.
    """
    if isinstance(inp, Mapping):
        inputs = dict(inp)
        placed = [place for place, value in ((2, output), (3, do_exc), (4, do_vxc)) if _is(value)]
        if placed:
            raise ArgumentTypeError(
                f"the first argument holds density variables by name, so that no array belongs in "
                f"place {placed[0]}: call {FORMS}",
                argument=("output", "do_exc", "do_vxc")[placed[0] - 2],
            )
    else:
        inputs = {} if inp is None else {"rho": inp}
        if _is(output):
            inputs["sigma"], output = output, None
        if _is(do_vxc):
            inputs["tau"], do_vxc = do_vxc, True
            if _is(do_exc):
                inputs["lapl"], do_exc = do_exc, True
        elif _is(do_exc):
            inputs["tau"], do_exc = do_exc, True
    for label, value in named.items():
        if value is None:
            continue
        if inputs.get(label) is not None:
            raise ArgumentTypeError(
                f"{label} is given twice, by its place and by its name: call {FORMS}",
                argument=label,
            )
        inputs[label] = value
    return inputs, output, True if do_exc is None else bool(do_exc), bool(do_vxc)


def _is(value: Any) -> bool:
    """Whether this is a density variable, neither a flag nor a mapping of output arrays."""
    return value is not None and not isinstance(value, (Mapping, bool, np.bool_, int))
