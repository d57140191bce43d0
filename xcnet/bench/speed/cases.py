"""What is timed at points: functionals, libxc, torch and the bare arithmetic of the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import xcnet
from xcnet import expression, libxc, variables

Array = npt.NDArray[np.float64]
Case = Callable[[Mapping[str, Array]], object]

#: Names of the orders; each is computed with all before it.
ORDERS = ("exc", "exc+vxc", "fxc", "kxc")
MOST_POINTS = {"kxc": 10_000}  # a hundred components a point
PUBLISHED = "NN-metaGGA-Nagai2020"
WIDTHS = (4, 100, 100, 100, 1)  # of the published meta-GGA
FLOOR_CHUNK = 2000  # points whose activations stay in the cache


def densities(points: int, spin: str, seed: int = 0) -> dict[str, Array]:
    """Inputs as molecules have them, from the tail (1e-6) to a nucleus (100 bohr^-3)."""
    rng = np.random.default_rng(seed)
    rho = 10.0 ** rng.uniform(-6, 2, (points, 1)) * rng.uniform(0.3, 0.7, (points, 2))
    gradient = rng.normal(size=(points, 2, 3)) * rho[..., None] ** (4 / 3)
    pairs = ((0, 0), (0, 1), (1, 1))
    sigma = np.stack([(gradient[:, i] * gradient[:, j]).sum(axis=1) for i, j in pairs], axis=1)
    tau = sigma[:, ::2] / (8 * rho) + rng.uniform(0.5, 3, (points, 2)) * rho ** (5 / 3)
    if spin == "unpolarized":  # a closed shell of two first channels
        return {"rho": 2 * rho[:, :1], "sigma": 4 * sigma[:, :1], "tau": 2 * tau[:, :1]}
    return {"rho": rho, "sigma": sigma, "tau": tau}


def compute_case(name: str, spin: str, order: str) -> Case:
    """Public `compute` of a functional."""
    functional = xcnet.functional(name, spin)
    highest = ORDERS.index(order)
    wanted = {f"do_{key}": i <= highest for i, key in enumerate(variables.ORDERS[: len(ORDERS)])}
    return lambda inputs: functional.compute(inputs, **wanted)


def has_order(name: str, order: str) -> bool:
    """Whether the functional has the derivatives, at points alone."""
    specs = [term.entry.spec for term in expression.parse(name).terms]
    if any(spec is not None and spec.is_nonlocal for spec in specs):
        return False
    key = variables.ORDERS[ORDERS.index(order)]
    return key in xcnet.functional(name).orders


def libxc_case(name: str, spin: str, order: str) -> Case:
    """A functional by libxc itself, without anything of ours but the call."""
    nspin = variables.UNPOLARIZED if spin == "unpolarized" else variables.POLARIZED
    entries = [term.entry for term in expression.parse(name).terms]
    parts = [libxc.Functional(entry.id, nspin) for entry in entries]
    highest = ORDERS.index(order)

    def evaluate(inputs: Mapping[str, Array]) -> None:
        points = len(inputs["rho"])
        for part in parts:
            own = part.family_variables
            labels = [label for i in range(highest + 1) for label in variables.labels(own, i)]
            outputs = {label: np.empty((points, variables.width(label, nspin))) for label in labels}
            part.evaluate({key: inputs[key] for key in own}, outputs)

    return evaluate


def torch_case(weights: Path, order: str) -> Case:
    """The published network as a torch program computes it, float64, by autograd."""
    import torch

    from xcnet.published import nagai2020

    facts = next(facts for facts in nagai2020.PUBLISHED if facts.alias == PUBLISHED)
    module = nagai2020.load((weights / facts.file).read_bytes())
    torch.set_num_threads(1)

    def evaluate(inputs: Mapping[str, Array]) -> list[Any]:
        leaves = {key: torch.from_numpy(v).requires_grad_() for key, v in inputs.items()}
        exc = module(**leaves)
        if order == "exc":
            return [exc.detach().numpy()]
        energy = (leaves["rho"].sum(dim=1, keepdim=True) * exc).sum()
        gradients = torch.autograd.grad(energy, list(leaves.values()))
        return [exc.detach().numpy(), *(g.numpy() for g in gradients)]

    return evaluate


def floor_case(order: str) -> Case:
    """Matrix products and exponentials of the published network's shapes, and nothing else."""
    rng = np.random.default_rng(0)
    matrices = [rng.normal(scale=0.1, size=shape) for shape in pairwise(WIDTHS)]

    def chunk(values: Array) -> Array:
        slopes = []
        for matrix in matrices[:-1]:
            values = np.exp(values @ matrix)
            slopes.append(values)
        result = values @ matrices[-1]
        if order == "exc":
            return result
        gradient = np.broadcast_to(matrices[-1].T, slopes[-1].shape)
        for matrix, slope in zip(matrices[-2::-1], slopes[::-1], strict=True):
            gradient = (gradient * slope) @ matrix.T
        return gradient

    def evaluate(inputs: Mapping[str, Array]) -> None:
        points = len(inputs["rho"])
        features = np.zeros((points, WIDTHS[0]))
        for start in range(0, points, FLOOR_CHUNK):
            chunk(features[start : start + FLOOR_CHUNK])

    return evaluate


def cases(functionals: list[str], spin: str, order: str, weights: Path | None) -> dict[str, Case]:
    """All cases by name; torch and the floor with separate spins only."""
    present = [name for name in functionals if has_order(name, order)]
    by_name = {f"xcnet {name}": compute_case(name, spin, order) for name in present}
    for name in present:
        if all(term.entry.spec is None for term in expression.parse(name).terms):
            by_name[f"libxc {name}"] = libxc_case(name, spin, order)
    if spin == "polarized" and order in ("exc", "exc+vxc"):
        if weights is not None:
            by_name[f"torch {PUBLISHED}"] = torch_case(weights, order)
        by_name["floor 4-100-100-100-1"] = floor_case(order)
    return by_name
