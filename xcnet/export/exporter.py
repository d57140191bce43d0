"""From a torch module to a functional folder, checked against torch before it appears."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from xcnet import check, engine, operators, variables
from xcnet.check.integrity import channel_values, handed_over
from xcnet.errors import ArgumentTypeError, ExportError, ModelError
from xcnet.export import algebra, graph
from xcnet.export import channels as first_stage
from xcnet.export import hidden as shared
from xcnet.export.closed_shell import ClosedShell
from xcnet.export.differentiate import derivatives
from xcnet.export.onnx_writer import to_onnx
from xcnet.export.trace import trace
from xcnet.export.verification import check_values
from xcnet.operators import Array, Descriptor, GridOperator
from xcnet.sample import NO_DESCRIPTORS, closed_shell, sample
from xcnet.spec import (
    ADJOINT,
    CARD,
    PARTS,
    RECORD,
    REFERENCE,
    FunctionalSpec,
    load_spec,
    spec_from_record,
    write_record,
)

REFERENCE_POINTS, REFERENCE_SEED = 64, 20180
#: Fields of the record that name graphs, and their spins.
GRAPHS = {"derivatives": variables.POLARIZED, "closed_shell": variables.UNPOLARIZED}


def export(
    module: torch.nn.Module,
    record: Mapping[str, Any],
    folder: str | Path,
    orders: Sequence[str] = variables.ORDERS[:4],
    card: str | None = None,
    lawful: bool = True,
    channels: torch.nn.Module | None = None,
    hidden: torch.nn.Module | None = None,
    notices: Mapping[str, bytes] = MappingProxyType({}),
) -> FunctionalSpec:
    """Write a torch module as a functional folder.

    Parameters
    ----------
    module : torch.nn.Module
        Called with the record's inputs and descriptors as keyword arguments, float64, spin
        resolved: ``rho (N, 2)``, ``sigma (N, 3)`` (aa, ab, bb), ``lapl (N, 2)``, ``tau (N, 2)``,
        a descriptor ``(N, k)``; returns the energy per particle, ``(N,)`` or ``(N, 1)``, Hartree.
        It may have a method ``closed_shell`` that gives the same of the totals, all ``(N, 1)``,
        in fewer operations; without it the graphs of closed shells are made from ``forward``.
    record : mapping
        ``model.json`` without ``derivatives``, ``closed_shell`` and ``files``.
    folder : path
        Where the folder appears, whole or not at all; must not exist.
    orders : sequence of str
        Derivative orders without a gap: at least exc and vxc, at most up to kxc (all by default).
    card : str, optional
        Text of CARD.md; made from the record if not given.
    lawful : bool
        Refuse a functional that fails `xcnet check`: one that is not symmetric in the spins, gives
        NaN, lacks a constraint that its record declares, ... False is for experiments; what comes
        of it cannot be installed.
    channels : torch.nn.Module, optional
        First stage of a functional whose descriptor maps channels: called with the record's inputs
        as ``module`` is, returns (N, c). The descriptor of the record says how many.
    hidden : torch.nn.Module, optional
        What ``module`` and ``channels`` both begin with: called as ``channels`` is, returns layers
        of one width side by side, (N, h), before their activation. Whole grids then compute them
        once for both. Both modules must compute them by the same operations.
    notices : mapping
        Further files of the folder by name: licences and notices of those whose work it holds.

    Returns
    -------
    FunctionalSpec
        The functional as loaded from the new folder.

    Raises
    ------
    ExportError
        The module cannot be written as a graph of points, is not float64, differs from the graph
        by more than rounding, fails a check, or the folder exists or cannot be written.
    ModelError
        The record is wrong.
    ArgumentTypeError
        ``module`` is no torch module.
    """
    if not isinstance(module, torch.nn.Module):
        raise ArgumentTypeError(
            f"export needs a torch.nn.Module, not {type(module).__name__}: move the energy into "
            "the forward method of one",
            argument="module",
        )
    folder = Path(folder).absolute()
    orders = _valid_orders(orders)
    if folder.exists():
        raise ExportError(f"{folder} exists; remove it or choose another", folder=str(folder))
    widths = {} if hidden is None else shared.widths(hidden, record["inputs"])
    full = _complete(record, orders, channels is not None, widths)
    plan = _planned(full, folder)
    making = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        making.mkdir(parents=True)
        for name, content in notices.items():
            (making / name).write_bytes(content)
        if channels is not None and hidden is not None:
            _write_hidden(module, channels, hidden, plan, making)
        _write(module, channels, full, plan, making, card)
        if lawful:
            _require(making)
        making.rename(folder)
    except OSError as error:
        reason = error.strerror or error
        raise ExportError(f"{folder} cannot be written: {reason}", folder=str(folder)) from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return load_spec(folder)


def planned(
    record: Mapping[str, Any],
    folder: Path,
    orders: Sequence[str] = variables.ORDERS[:4],
    with_channels: bool = False,
) -> FunctionalSpec:
    """The functional that `export` would make of a record; ModelError if the record is wrong."""
    return _planned(_complete(record, orders, with_channels), folder)


def _planned(full: Mapping[str, Any], folder: Path) -> FunctionalSpec:
    files = (*_graph_files(full), REFERENCE, CARD)
    return spec_from_record({**full, "files": dict.fromkeys(files, "0" * 64)}, folder)


def _require(folder: Path) -> None:
    try:
        check.require(load_spec(folder))
    except ModelError as error:
        raise ExportError(str(error), **error.context) from error


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
    first: torch.nn.Module | None,
    full: Mapping[str, Any],
    plan: FunctionalSpec,
    folder: Path,
    card: str | None,
) -> None:
    """Fill the folder and check what is in it."""
    orders, names = tuple(full["derivatives"]), plan.variables
    for spin in GRAPHS.values():
        outputs = expressions(module, names, len(orders) - 1, spin, plan.descriptors)
        for order in orders:
            signature = plan.signature(order, spin)
            kept = {label: outputs[label] for label in signature.outputs}
            data = to_onnx(kept, signature.inputs, plan.name)
            (folder / plan.graph(order, spin)).write_bytes(data)
    if first is not None:
        _write_channels(first, plan, folder)
    (folder / CARD).write_text(card or _card(full), encoding="utf-8")
    points = sample(names, REFERENCE_POINTS, REFERENCE_SEED, plan.descriptors)
    np.savez(folder / REFERENCE, **points)  # type: ignore[arg-type, unused-ignore]
    spec = _seal(full, folder)
    for spin in GRAPHS.values():
        for level in range(len(orders)):
            check_values(module, spec, level, spin)
    results = engine.run_session(spec, len(orders) - 1, points)
    if first is not None:
        results |= _reference_channels(first, spec, points)
    if spec.hidden is not None:
        handed_over(spec, {**points, **results})
    np.savez(folder / REFERENCE, **points, **results)  # type: ignore[arg-type, unused-ignore]
    _seal(full, folder)


def _write_channels(module: torch.nn.Module, plan: FunctionalSpec, folder: Path) -> None:
    """Write the graphs of the first stage."""
    assert plan.channels is not None
    _check_dtype(module)
    for (order, spin), filename in plan.channels.graphs.items():
        level = variables.ORDERS.index(order)
        outputs = first_stage.expressions(module, plan, _trace_points(module), level, spin)
        signature = plan.signature(order, spin, of_channels=True)
        kept = {label: outputs[label] for label in signature.outputs}
        (folder / filename).write_bytes(to_onnx(kept, signature.inputs, plan.name))


def _write_hidden(
    module: torch.nn.Module,
    channels: torch.nn.Module,
    hidden: torch.nn.Module,
    plan: FunctionalSpec,
    folder: Path,
) -> None:
    """Write the graphs that hand hidden values over."""
    assert plan.hidden is not None
    for spin in plan.hidden.widths:
        parts = shared.Shared(module, channels, hidden, plan, _trace_points(module), spin)
        for part in PARTS:
            data = to_onnx(parts.outputs(part), plan.signature(part, spin).inputs, plan.name)
            (folder / plan.graph(part, spin)).write_bytes(data)


def _reference_channels(
    module: torch.nn.Module, spec: FunctionalSpec, points: Mapping[str, Array]
) -> dict[str, Array]:
    """Reference values of the first stage, checked against torch."""
    assert spec.channels is not None
    for order, spin in spec.channels.graphs:
        first_stage.check_values(module, spec, variables.ORDERS.index(order), spin)
    rng = np.random.default_rng(REFERENCE_SEED)
    adjoint = rng.normal(size=(len(points["rho"]), spec.channels.width))
    return {ADJOINT: adjoint, **channel_values(spec, {**points, ADJOINT: adjoint})}


def _complete(
    record: Mapping[str, Any],
    orders: Sequence[str],
    with_channels: bool = False,
    hidden: Mapping[int, int] = MappingProxyType({}),
) -> dict[str, Any]:
    """Record with the graphs, where readers expect them; hidden values by spin."""
    graphs: dict[str, Any] = {
        "derivatives": {order: f"{order}.onnx" for order in orders},
        "closed_shell": {order: f"{order}_closed_shell.onnx" for order in orders},
    }
    if with_channels:
        first = orders[:3]  # whole grids have no third derivatives
        kinds = [operators.known().get(label) for label in record["descriptors"]]
        widths = [k.channels for k in kinds if k is not None and issubclass(k, GridOperator)]
        graphs["channels"] = {
            "width": max(widths, default=1),
            "derivatives": {order: f"channels_{order}.onnx" for order in first},
            "closed_shell": {order: f"channels_{order}_closed_shell.onnx" for order in first},
        }
    if hidden:
        names = {variables.POLARIZED: "spin_resolved", variables.UNPOLARIZED: "closed_shell"}
        ends = {variables.POLARIZED: "", variables.UNPOLARIZED: "_closed_shell"}
        graphs["hidden"] = {
            names[s]: {"width": width, **{part: f"hidden_{part}{ends[s]}.onnx" for part in PARTS}}
            for s, width in hidden.items()
        }
    full: dict[str, Any] = {}
    for key, value in record.items():
        full[key] = value
        if key == "descriptors":
            full |= graphs
    return full | graphs


def _graph_files(record: Mapping[str, Any]) -> list[str]:
    first = record.get("channels", {})
    parts = [stage[key] for stage in (record, first) for key in GRAPHS if key in stage]
    shares = [part[name] for part in record.get("hidden", {}).values() for name in PARTS]
    return [*(filename for part in parts for filename in part.values()), *shares]


def _seal(record: Mapping[str, Any], folder: Path) -> FunctionalSpec:
    """Write the record with the hashes of all files."""
    files = [*_graph_files(record), REFERENCE, CARD]
    files += sorted({path.name for path in folder.iterdir()} - {RECORD, *files})
    hashes = {f: hashlib.sha256((folder / f).read_bytes()).hexdigest() for f in files}
    write_record({**record, "files": hashes}, folder)
    return load_spec(folder)


def expressions(
    module: torch.nn.Module,
    names: Sequence[str],
    order: int,
    spin: int = variables.POLARIZED,
    descriptors: Mapping[str, Descriptor] = NO_DESCRIPTORS,
) -> dict[str, list[graph.Node]]:
    """Every output label up to an order, as expressions of the components of the inputs."""
    _check_dtype(module)
    points = sample(names, _trace_points(module), 0, descriptors)
    if spin == variables.UNPOLARIZED:
        points, _ = closed_shell(points)
        own = getattr(module, "closed_shell", None)
        module = ClosedShell(module, own if callable(own) else None)
    exc = trace(module, {name: torch.from_numpy(value) for name, value in points.items()})
    where = [(name, i) for name in names for i in range(variables.width(name, spin))]
    columns = [graph.column_input(name, i) for name, i in where]
    density = reduce(algebra.add, columns[: variables.width("rho", spin)])
    energy = algebra.mul(density, exc)
    slopes = derivatives(energy, columns, order) if order else {}
    position = {component: i for i, component in enumerate(where)}
    outputs = {"zk": [exc]}
    for n in range(1, order + 1):
        for label in variables.labels(tuple(names), n):
            outputs[label] = [
                slopes[tuple(sorted(position[factor] for factor in factors))]
                for factors in variables.components(label, spin)
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
