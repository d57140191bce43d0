"""From a torch module to a functional folder, checked against torch before it appears."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xcnet import check, engine, variables
from xcnet.errors import ArgumentTypeError, ExportError, ModelError
from xcnet.export import algebra, graph
from xcnet.export.closed_shell import ClosedShell
from xcnet.export.differentiate import derivatives
from xcnet.export.onnx_writer import to_onnx
from xcnet.export.trace import trace
from xcnet.export.verification import check_values
from xcnet.sample import closed_shell, sample
from xcnet.spec import (
    CARD,
    REFERENCE,
    FunctionalSpec,
    load_spec,
    metadata,
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
) -> FunctionalSpec:
    """Write a torch module as a functional folder.

    Parameters
    ----------
    module : torch.nn.Module
        Called with the record's inputs and descriptors as keyword arguments, float64, spin
        resolved: ``rho (N, 2)``, ``sigma (N, 3)`` (aa, ab, bb), ``lapl (N, 2)``, ``tau (N, 2)``,
        ``near_region (N, 1)``; returns the energy per particle, ``(N,)`` or ``(N, 1)``, Hartree.
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
    full = _complete(record, orders)
    names = planned(record, folder, orders).variables
    making = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        making.mkdir(parents=True)
        _write(module, full, names, making, card)
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
    record: Mapping[str, Any], folder: Path, orders: Sequence[str] = variables.ORDERS[:4]
) -> FunctionalSpec:
    """The functional that `export` would make of a record; ModelError if the record is wrong."""
    full = _complete(record, orders)
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
    full: Mapping[str, Any],
    names: tuple[str, ...],
    folder: Path,
    card: str | None,
) -> None:
    """Fill the folder and check what is in it."""
    orders = tuple(full["derivatives"])
    for key, spin in GRAPHS.items():
        outputs = expressions(module, names, len(orders) - 1, spin)
        widths = {name: variables.width(name, spin) for name in names}
        for level, (order, filename) in enumerate(full[key].items()):
            kept = variables.requested_labels(names, [True] * (level + 1))
            facts = metadata(full, order, spin)
            data = to_onnx({label: outputs[label] for label in kept}, widths, facts)
            (folder / filename).write_bytes(data)
    (folder / CARD).write_text(card or _card(full), encoding="utf-8")
    points = sample(names, REFERENCE_POINTS, REFERENCE_SEED)
    np.savez(folder / REFERENCE, **points)  # type: ignore[arg-type, unused-ignore]
    spec = _seal(full, folder)
    for spin in GRAPHS.values():
        for level in range(len(orders)):
            check_values(module, spec, level, spin)
    results = engine.run(spec, len(orders) - 1, points)
    np.savez(folder / REFERENCE, **points, **results)  # type: ignore[arg-type, unused-ignore]
    _seal(full, folder)


def _complete(record: Mapping[str, Any], orders: Sequence[str]) -> dict[str, Any]:
    """Record with the graphs, where readers expect them."""
    graphs = {
        "derivatives": {order: f"{order}.onnx" for order in orders},
        "closed_shell": {order: f"{order}_closed_shell.onnx" for order in orders},
    }
    full: dict[str, Any] = {}
    for key, value in record.items():
        full[key] = value
        if key == "descriptors":
            full |= graphs
    return full | graphs


def _graph_files(record: Mapping[str, Any]) -> list[str]:
    return [filename for key in GRAPHS for filename in record[key].values()]


def _seal(record: Mapping[str, Any], folder: Path) -> FunctionalSpec:
    """Write the record with the hashes of all files."""
    files = [*_graph_files(record), REFERENCE, CARD]
    hashes = {f: hashlib.sha256((folder / f).read_bytes()).hexdigest() for f in files}
    write_record({**record, "files": hashes}, folder)
    return load_spec(folder)


def expressions(
    module: torch.nn.Module, names: Sequence[str], order: int, spin: int = variables.POLARIZED
) -> dict[str, list[graph.Node]]:
    """Every output label up to an order, as expressions of the components of the inputs."""
    _check_dtype(module)
    points = sample(names, _trace_points(module), seed=0)
    if spin == variables.UNPOLARIZED:
        points, _ = closed_shell(points)
        own = getattr(module, "closed_shell", None)
        module = ClosedShell(module, own if callable(own) else None)
    exc = trace(module, {name: torch.from_numpy(value) for name, value in points.items()})
    where = [(name, i) for name in names for i in range(variables.width(name, spin))]
    columns = [graph.column_input(name, i) for name, i in where]
    density = reduce(algebra.add, columns[: variables.width("rho", spin)])
    energy = algebra.mul(density, exc)
    found = derivatives(energy, columns, order) if order else {}
    position = {component: i for i, component in enumerate(where)}
    outputs = {"zk": [exc]}
    for n in range(1, order + 1):
        for label in variables.labels(tuple(names), n):
            outputs[label] = [
                found[tuple(sorted(position[factor] for factor in factors))]
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
