"""Published functionals at points: our graphs, their torch modules, and their layers alone.

Energies and potentials (exc+vxc) of one thread in double precision. The torch module
is the original's formula, differentiated by autograd over all points at once, as authors' programs
do it. The bare arithmetic is that of the layers, each as often as the formula needs it: matrix
products, activations and their slopes by torch's own kernels, in blocks that stay in the cache.
Skala's operator, which both share, is not in it (`benchmarks.published_grid`). The three take
turns, the best of several rounds counts, in processor time.

``OMP_NUM_THREADS=1 python -m benchmarks.published_speed`` writes
``benchmarks/results/published_speed.md``; `benchmarks.published` says where the weights come from.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import xcnet
from benchmarks.published import weights_folder
from benchmarks.published_grid import OnGrid, benzene_grid
from xcnet.bench.machine import machine
from xcnet.bench.speed.cases import densities
from xcnet.catalogue import collections
from xcnet.export.exporter import export
from xcnet.operators import GridOperator
from xcnet.published import sources
from xcnet.published.conversion import family

Array = npt.NDArray[np.float64]
Work = Callable[[], object]
RESULT = Path(__file__).resolve().parent / "results" / "published_speed.md"
POINTS, ROUNDS, BLOCK = 100_000, 5, 2000


@dataclass(frozen=True)
class Layers:
    """Layers of one functional: outputs, inputs and evaluations at a point, and the activation."""

    shapes: Sequence[tuple[int, int, int]]
    activation: Callable[[torch.Tensor], torch.Tensor]
    slope: Callable[[torch.Tensor], torch.Tensor]


def _gelu_slope(z: torch.Tensor) -> torch.Tensor:
    result: torch.Tensor = torch.ops.aten.gelu_backward(torch.ones_like(z), z)
    return result


def _normalized(z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Layer normalization over the rows, and its scale."""
    variance, mean = torch.var_mean(z, dim=0, correction=0)
    scale = torch.rsqrt(variance + 1e-5)
    return (z - mean) * scale, scale


def _normalized_elu(z: torch.Tensor) -> torch.Tensor:
    result: torch.Tensor = torch.nn.functional.elu(_normalized(z)[0])
    return result


def _normalized_slope(z: torch.Tensor) -> torch.Tensor:
    y, scale = _normalized(z)
    slope = torch.exp(y.clamp(max=0.0))
    result: torch.Tensor = (slope - slope.mean(0) - y * (slope * y).mean(0)) * scale
    return result


def _silu_slope(z: torch.Tensor) -> torch.Tensor:
    result: torch.Tensor = torch.ops.aten.silu_backward(torch.ones_like(z), z)
    return result


class LocalExactExchange(torch.nn.Module):
    """DM21's graph with functions of the density in the place of local exact exchange."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, rho: torch.Tensor, sigma: torch.Tensor, tau: torch.Tensor) -> Any:
        """Energy per particle (N,)."""
        exact = -(rho ** (4.0 / 3.0))
        both = torch.stack([exact[:, 0], 0.5 * exact[:, 0], exact[:, 1], 0.5 * exact[:, 1]], 1)
        return self.module(rho, sigma, tau, both)


#: pcNN: two points of features for exchange of each spin; correlation has four values of its own
#: pair of features, one of the shared pair, and six of the third layer.
LAYERS: Mapping[str, Layers] = {
    "pcnn": Layers(
        [(100, 2, 9), (100, 100, 9), (100, 100, 4), (100, 100, 5), (100, 0, 1), (1, 100, 10)],
        torch.nn.functional.softplus,
        torch.sigmoid,
    ),
    "xcdiff": Layers(
        [(16, 2, 2), (16, 4, 1), (16, 16, 6), (1, 16, 3)],
        torch.nn.functional.gelu,
        _gelu_slope,
    ),
    "dm21": Layers([(256, 11, 1), (256, 256, 6), (3, 256, 1)], _normalized_elu, _normalized_slope),
}
#: Skala's: the first network once for each order of the spins.
SKALA = {
    closed: Layers(
        [
            *((256, 7, orders), (256, 256, orders)),
            *((16, 256, 1), (16, 16, 1), (256, 272, 1), (256, 256, 2), (1, 256, 1)),
        ],
        torch.nn.functional.silu,
        _silu_slope,
    )
    for closed, orders in ((False, 2), (True, 1))
}


def bare(layers: Layers) -> Work:
    """Products, activations and slopes, forwards and backwards."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    parts = [
        (random(out, inner), random(inner, BLOCK), random(out, BLOCK), count)
        for out, inner, count in layers.shapes
    ]

    def block() -> None:
        for weight, values, back, count in parts:
            for _ in range(count):
                z = torch.addmm(back, weight, values) if weight.shape[1] else back
                if len(weight) > 3:
                    layers.activation(z)
                    z = layers.slope(z).mul_(back)
                if weight.shape[1]:
                    weight.T @ z

    def work() -> None:
        for _ in range(POINTS // BLOCK):
            block()

    return work


def original(module: Any, inputs: Mapping[str, Array]) -> Work:
    """The torch module with autograd."""

    def work() -> object:
        leaves = {name: torch.from_numpy(x).requires_grad_() for name, x in inputs.items()}
        exc = module(**leaves).reshape(-1)
        energy = (leaves["rho"].sum(dim=1) * exc).sum()
        return torch.autograd.grad(energy, list(leaves.values()))

    return work


def best(works: Mapping[str, Work], rounds: int) -> dict[str, float]:
    """Least processor time of each, in seconds, with the works in turns."""
    seconds = dict.fromkeys(works, float("inf"))
    for turn in range(rounds + 1):
        for name, work in works.items():
            start = time.process_time()
            work()
            if turn:
                seconds[name] = min(seconds[name], time.process_time() - start)
    return seconds


def measured(name: str, folder: Path, rounds: int) -> tuple[str, dict[str, float]]:
    """Usual name and seconds of the three."""
    collection = collections()[name]
    files = sources.files(collection, weights_folder(name))
    published = family(collection).functionals(collection, files)[0]
    module, record = published.module, dict(published.record)
    if record["descriptors"]:
        module, record["descriptors"] = LocalExactExchange(module), {}
    spec = export(module, record, folder / record["name"], ("exc", "vxc"), lawful=False)
    functional = xcnet.LibXCFunctional(spec, "polarized")
    inputs = densities(POINTS, "polarized")
    works = {
        "ours": lambda: functional.compute(inputs),
        "torch": original(module, inputs),
        "layers": bare(LAYERS[name]),
    }
    return spec.aliases[0], best(works, rounds)


def measured_on_grid(folder: Path, rounds: int, closed: bool) -> tuple[str, dict[str, float]]:
    """The same of Skala-1.0 with its operator."""
    collection = collections()["skala-1.0"]
    files = sources.files(collection, weights_folder("skala-1.0"))
    published = family(collection).functionals(collection, files)[0]
    spec = export(
        *(published.module, published.record, folder / f"skala-{closed}", published.orders),
        lawful=False,
        channels=published.channels,
        hidden=published.hidden,
    )
    spins = "unpolarized" if closed else "polarized"
    functional, grid = xcnet.LibXCFunctional(spec, spins), benzene_grid(POINTS)
    inputs = densities(POINTS, spins)
    inputs = {name: inputs[name].reshape(POINTS, -1) for name in spec.inputs}
    (operator,) = spec.descriptors.values()
    assert isinstance(operator, GridOperator)
    works = {
        "ours": lambda: functional.compute(inputs, grid=grid),
        "torch": original(OnGrid(published, grid, operator, closed), inputs),
        "layers": bare(SKALA[closed]),
    }
    return f"{spec.aliases[0]}{', closed shells' if closed else ''}", best(works, rounds)


def report(rows: Mapping[str, Mapping[str, float]], rounds: int) -> str:
    """Table of microseconds per point and ratios."""
    lines = [
        "# Published functionals at points",
        "",
        f"exc+vxc at {POINTS} points, spins apart where nothing else is said, microseconds per "
        "point of one thread "
        f"(processor time, best of {rounds}; `python -m benchmarks.published_speed`).",
        "",
        "| functional | xcnet | torch, autograd | layers alone | xcnet/torch | xcnet/layers |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, times in rows.items():
        ours, torch_time, layers = (1e6 * times[k] / POINTS for k in ("ours", "torch", "layers"))
        lines.append(
            f"| {name} | {ours:.2f} | {torch_time:.2f} | {layers:.2f} | "
            f"{ours / torch_time:.2f} | {ours / layers:.2f} |"
        )
    versions = f"xcnet {xcnet.__version__}, torch {torch.__version__.partition('+')[0]}"
    lines += [
        "",
        "DM21 without its local exact exchange, which the host computes; Skala-1.0 and torch with "
        "the same operator around the atoms of benzene, the layers alone without it.",
    ]
    return "\n".join([*lines, "", f"{machine()['cpu']}; {versions}", ""])


def main() -> None:
    """Run the benchmark and write its result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        raise SystemExit("set OMP_NUM_THREADS=1: processor times of several threads do not compare")
    torch.set_num_threads(1)
    xcnet.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        rows = dict(measured(name, Path(folder), arguments.rounds) for name in LAYERS)
        for closed in SKALA:
            rows |= [measured_on_grid(Path(folder), arguments.rounds, closed)]
    text = report(rows, arguments.rounds)
    RESULT.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
