"""From a torch module to a functional folder, checked against torch before it appears."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from xcnet import engine, variables
from xcnet.errors import ExportError
from xcnet.spec import CARD, REFERENCE, FunctionalSpec, flatten, load_spec, write_record
from xcnet.training import graph
from xcnet.training.differentiate import derivatives
from xcnet.training.onnx_writer import OPERATORS, to_onnx
from xcnet.training.sample import channels, magnitudes, sample
from xcnet.training.trace import trace

Array = NDArray[np.float64]
Component = tuple[str, int]

TOLERANCE = 1e-12
REFERENCE_POINTS, REFERENCE_SEED = 64, 20180
CHECK_POINTS, CHECK_SEED = 48, 4


def export(
    module: torch.nn.Module,
    record: Mapping[str, Any],
    folder: str | Path,
    orders: Sequence[str] = ("exc", "vxc", "fxc"),
    card: str | None = None,
) -> FunctionalSpec:
    """Write a torch module as a functional folder.

    Parameters
    ----------
    module : torch.nn.Module
        Called with the record's inputs and descriptors as keyword arguments, float64, spin
        resolved: ``rho (N, 2)``, ``sigma (N, 3)`` (aa, ab, bb), ``lapl (N, 2)``, ``tau (N, 2)``,
        ``near_region (N, 1)``; returns the energy per particle, ``(N,)`` or ``(N, 1)``, Hartree.
    record : mapping
        ``model.json`` without ``derivatives`` and ``files``.
    folder : path
        Where the folder appears, whole or not at all; must not exist.
    orders : sequence of str
        Derivative orders without a gap: at least exc and vxc, at most up to kxc.
    card : str, optional
        Text of CARD.md; made from the record if not given.

    Returns
    -------
    FunctionalSpec
        The functional as loaded from the new folder.

    Raises
    ------
    ExportError
        The module cannot be written as a graph of points, is not float64, differs from the graph
        by more than rounding, or the folder exists or cannot be written.
    ModelError
        The record is wrong.
    """
    folder = Path(folder).absolute()
    orders = _valid_orders(orders)
    if folder.exists():
        raise ExportError(f"{folder} exists; remove it or choose another", folder=str(folder))
    making = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        making.mkdir(parents=True)
        _write(module, record, making, orders, card)
        making.rename(folder)
    except OSError as error:
        raise ExportError(f"{folder} cannot be written: {error}", folder=str(folder)) from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return load_spec(folder)


def _valid_orders(orders: Sequence[str]) -> tuple[str, ...]:
    known = variables.ORDERS[:4]
    if tuple(orders) not in (known[:2], known[:3], known[:4]):
        raise ExportError(
            f"orders {tuple(orders)} are not {known[:2]}, or these with fxc, or with fxc and kxc",
            given=tuple(orders),
        )
    return tuple(orders)


def _write(
    module: torch.nn.Module,
    record: Mapping[str, Any],
    folder: Path,
    orders: tuple[str, ...],
    card: str | None,
) -> None:
    """Fill the folder and check what is in it."""
    names = (*record["inputs"], *record["descriptors"])
    full = _complete(record, orders)
    outputs = expressions(module, names, len(orders) - 1)
    widths = {name: variables.width(name, variables.POLARIZED) for name in names}
    for level, order in enumerate(orders):
        kept = variables.requested_labels(names, [True] * (level + 1))
        metadata = {**flatten(full), "xcnet.order": order}
        data = to_onnx({label: outputs[label] for label in kept}, widths, metadata)
        _check_operators(data, order)
        (folder / f"{order}.onnx").write_bytes(data)
    (folder / CARD).write_text(card or _card(full), encoding="utf-8")
    points = sample(names, REFERENCE_POINTS, REFERENCE_SEED)
    np.savez(folder / REFERENCE, **points)  # type: ignore[arg-type, unused-ignore]
    spec = _seal(full, folder)
    for level in range(len(orders)):
        _check_values(module, spec, level)
    results = engine.run(spec, len(orders) - 1, points)
    np.savez(folder / REFERENCE, **points, **results)  # type: ignore[arg-type, unused-ignore]
    _seal(full, folder)


def _complete(record: Mapping[str, Any], orders: Sequence[str]) -> dict[str, Any]:
    """Record with the derivatives, where readers expect them."""
    full: dict[str, Any] = {}
    for key, value in record.items():
        full[key] = value
        if key == "descriptors":
            full["derivatives"] = {order: f"{order}.onnx" for order in orders}
    return full


def _seal(record: Mapping[str, Any], folder: Path) -> FunctionalSpec:
    """Write the record with the hashes of all files."""
    files = [f"{order}.onnx" for order in record["derivatives"]] + [REFERENCE, CARD]
    hashes = {f: hashlib.sha256((folder / f).read_bytes()).hexdigest() for f in files}
    write_record({**record, "files": hashes}, folder)
    return load_spec(folder)


def expressions(
    module: torch.nn.Module, names: Sequence[str], order: int
) -> dict[str, list[graph.Node]]:
    """Every output label up to an order, as expressions of the components of the inputs."""
    _check_dtype(module)
    points = sample(names, _trace_points(module), seed=0)
    exc = trace(module, {name: torch.from_numpy(value) for name, value in points.items()})
    where = [(name, i) for name in names for i in range(variables.width(name, variables.POLARIZED))]
    columns = [graph.column_input(name, i) for name, i in where]
    energy = graph.mul(graph.add(columns[0], columns[1]), exc)
    found = derivatives(energy, columns, order) if order else {}
    position = {component: i for i, component in enumerate(where)}
    outputs = {"zk": [exc]}
    for n in range(1, order + 1):
        for label in variables.labels(tuple(names), n):
            outputs[label] = [
                found[tuple(sorted(position[factor] for factor in factors))]
                for factors in variables.components(label, variables.POLARIZED)
            ]
    return outputs


def _check_dtype(module: torch.nn.Module) -> None:
    tensors = [*module.named_parameters(), *module.named_buffers()]
    for name, tensor in tensors:
        if tensor.is_floating_point() and tensor.dtype != torch.float64:
            raise ExportError(
                f"{name} of the module is {tensor.dtype}; call module.double() before the export, "
                "and train in float64",
                parameter=name,
            )


def _trace_points(module: torch.nn.Module) -> int:
    """Prime number of points that is no size of any tensor of the module."""
    tensors = [*module.parameters(), *module.buffers()]
    least = max([100, *(size for tensor in tensors for size in tensor.shape)])
    n = least + 1
    while any(n % k == 0 for k in range(2, int(n**0.5) + 1)):
        n += 1
    return n


def _check_operators(data: bytes, order: str) -> None:
    model = onnx.load_from_string(data)
    unknown = {node.op_type for node in model.graph.node} - OPERATORS
    types = {constant.data_type for constant in model.graph.initializer}
    if unknown or not types <= {onnx.TensorProto.DOUBLE, onnx.TensorProto.INT64}:
        raise ExportError(f"{order}.onnx would hold {sorted(unknown)} or other than float64")


def _check_values(module: torch.nn.Module, spec: FunctionalSpec, order: int) -> None:
    """Compare one graph with torch's automatic differentiation on fresh points.

    The difference in each component may be 1e-12 of the larger of two: the component itself, and
    the energy density times the share of the electrons in the least populated spin channel that
    it belongs to, in the natural units of its variables. (The second is there because a derivative
    may vanish by cancellation, where no digit of it means anything.) To this comes ten times what
    changing the inputs by 1e-15 does to torch's own value: the module's rounding, which is large
    where it subtracts nearly equal numbers (1 - zeta in a nearly empty channel).
    """
    points = sample(spec.variables, CHECK_POINTS + order, CHECK_SEED + order)
    given = engine.run(spec, order, points)
    expected = torch_values(module, points, order)
    noise = _rounding(module, points, expected, order)
    energy = np.abs(expected["zk"][:, 0] * points["rho"].sum(axis=1))
    units, shares = magnitudes(points), channels(points)
    for label, reference in expected.items():
        for c, factors in enumerate(variables.components(label, variables.POLARIZED)):
            unit = prod((units[v][:, i] for v, i in factors), start=np.ones(len(energy)))
            share = np.min([np.ones(len(energy)), *(shares[v][:, i] for v, i in factors)], axis=0)
            floor = energy * share / unit if factors else 0.0
            scale = np.maximum(np.abs(reference[:, c]), floor)
            allowed = TOLERANCE * scale + 10.0 * noise[label][:, c]
            difference = np.abs(given[label][:, c] - reference[:, c])
            if not np.all(difference <= allowed):
                worst = int(np.argmax(np.nan_to_num(difference / allowed, nan=np.inf)))
                place = {name: value[worst].tolist() for name, value in points.items()}
                raise _mismatch(
                    f"{spec.name}: {label}[{c}]", difference[worst] / scale[worst], place
                )


def _rounding(
    module: torch.nn.Module, points: Mapping[str, Array], values: Mapping[str, Array], order: int
) -> dict[str, Array]:
    """Largest change of torch's values in four random changes of the inputs by 1e-15."""
    rng = np.random.default_rng(0)
    changes = []
    for _ in range(4):
        moved = {
            name: value * (1.0 + 1e-15 * rng.choice([-1.0, 1.0], value.shape))
            for name, value in points.items()
        }
        changes.append(torch_values(module, moved, order))
    return {
        label: np.max([np.abs(c[label] - value) for c in changes], axis=0)
        for label, value in values.items()
    }


def _mismatch(what: str, relative: float, place: Mapping[str, Any]) -> ExportError:
    if np.isfinite(relative):
        message = (
            f"{what} of the graph differs from torch by {relative:.1e} relative (allowed "
            f"{TOLERANCE:.0e}) at {place}; the energy must be a function of the variables of one "
            "point, without random numbers or branches of Python on values"
        )
    else:
        message = (
            f"{what} is not finite at {place}; keep logarithms, powers and quotients away from "
            "their singularities, inside torch.where branches too"
        )
    return ExportError(message, point=place)


def torch_values(
    module: torch.nn.Module, points: Mapping[str, Array], order: int
) -> dict[str, Array]:
    """Output labels up to an order by torch's automatic differentiation, ``(N, width)``."""
    columns: dict[Component, torch.Tensor] = {
        (name, i): torch.from_numpy(value[:, i].copy()).requires_grad_()
        for name, value in points.items()
        for i in range(value.shape[1])
    }
    stacked = {
        name: torch.stack([columns[name, i] for i in range(value.shape[1])], dim=1)
        for name, value in points.items()
    }
    exc = module(**stacked).reshape(-1)
    found = {(): exc * stacked["rho"].sum(1)}
    for n in range(order):
        for factors in combinations_with_replacement(columns, n):
            wanted = list(columns)[list(columns).index(factors[-1]) if factors else 0 :]
            found |= _gradient(found[factors], factors, {c: columns[c] for c in wanted}, n < order)
    values = {"zk": exc.detach().numpy()[:, None]}
    for n in range(1, order + 1):
        for label in variables.labels(tuple(points), n):
            parts = [
                found[tuple(sorted(factors, key=list(columns).index))].detach().numpy()
                for factors in variables.components(label, variables.POLARIZED)
            ]
            values[label] = np.stack(parts, axis=1)
    return values


def _gradient(
    value: torch.Tensor,
    factors: tuple[Component, ...],
    columns: Mapping[Component, torch.Tensor],
    again: bool,
) -> dict[tuple[Component, ...], torch.Tensor]:
    if not value.requires_grad:
        return {(*factors, c): torch.zeros_like(x) for c, x in columns.items()}
    slopes = torch.autograd.grad(
        value.sum(),
        list(columns.values()),
        create_graph=again,
        retain_graph=True,
        allow_unused=True,
        materialize_grads=True,
    )
    return {(*factors, c): slope for c, slope in zip(columns, slopes, strict=True)}


def _card(record: Mapping[str, Any]) -> str:
    names = ", ".join([record["name"], *record["aliases"]])
    references = "\n".join(f"- {c['text']} {c['doi']}".rstrip() for c in record["citations"])
    elements = ", ".join(record["domain"]["elements"]) or "not limited"
    return (
        f"# {names}\n\n{record['description']}\n\n"
        f"- Family: {record['family']}, kind: {record['kind']}, id: {record['id']}\n"
        f"- Inputs: {', '.join([*record['inputs'], *record['descriptors']])}\n"
        f"- Elements: {elements}\n- Licence: {record['license']}\n\n## References\n\n{references}\n"
    )
