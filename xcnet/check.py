"""Checks that a functional folder does on this machine what its maker saw."""

from __future__ import annotations

import io
import zipfile
from math import prod

import numpy as np

from xcnet import engine, variables
from xcnet.density import Array
from xcnet.errors import ModelError
from xcnet.spec import REFERENCE, FunctionalSpec

#: Of the energy density, for value times inputs. The maker's machine may round sums of hundreds
#: of terms in another order.
TOLERANCE = 1e-11


def self_test(spec: FunctionalSpec) -> float:
    """Run the graph of the highest order on the stored inputs; compare with the stored outputs.

    Each derivative is multiplied by the variables it was taken by and divided by the energy
    density, so that one tolerance serves points from a nucleus to the vacuum.

    Returns
    -------
    float
        The largest difference.

    Raises
    ------
    ModelError
        The reference vector is incomplete, or the graph gives something else.
    """
    stored = _reference(spec)
    inputs = {name: stored[name] for name in spec.variables}
    given = engine.run(spec, spec.highest_order, inputs)
    energy = np.abs(stored["zk"][:, 0] * inputs["rho"].sum(axis=1))
    worst = 0.0
    for label, values in given.items():
        for i, factors in enumerate(variables.components(label, variables.POLARIZED)):
            unit = prod((np.abs(inputs[name][:, k]) for name, k in factors), start=1.0 / energy)
            scale = unit if factors else 1.0 / np.abs(stored["zk"][:, 0])
            difference = np.abs(values[:, i] - stored[label][:, i]) * scale
            if not difference.max() <= TOLERANCE:  # NaN counts as different
                raise ModelError(
                    f"{spec.name}: {label} differs from its reference value by "
                    f"{difference.max():.1e} of the energy density (allowed {TOLERANCE:.0e}), in "
                    f"{spec.folder}: the graph or the runtime on this machine is at fault",
                    functional=spec.name,
                    file=str(spec.folder / REFERENCE),
                    label=label,
                )
            worst = max(worst, float(difference.max()))
    return worst


def _reference(spec: FunctionalSpec) -> dict[str, Array]:
    wanted = [*spec.variables]
    wanted += [
        label
        for order in range(spec.highest_order + 1)
        for label in variables.labels(spec.variables, order)
    ]
    try:
        with np.load(io.BytesIO(spec.read(REFERENCE)), allow_pickle=False) as stored:
            arrays = {name: np.asarray(stored[name], dtype=np.float64) for name in wanted}
        points = len(arrays["rho"])
        for name, array in arrays.items():
            if array.shape != (points, variables.width(name, variables.POLARIZED)) or not points:
                raise ValueError(f"{name} has the shape {array.shape}")
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"{spec.name}: {spec.folder / REFERENCE} is not a reference vector: {error}",
            functional=spec.name,
            file=str(spec.folder / REFERENCE),
        ) from error
    return arrays
