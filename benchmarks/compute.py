"""Cost of `compute` (all orders, both spins): neural functionals, libxc's M06-L, torch.

All cases of a spin run in one process, one thread, taking turns, so that their ratios hold whatever
else the machine does. ``python benchmarks/compute.py`` writes ``benchmarks/results/compute.md``.
The published weights come from --weights, XCNET_NAGAI2020, ../shared/nagai2020 or the network.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy and torch start their threads

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch

import xcnet
from xcnet import libxc, variables
from xcnet.training import export, nagai2020

Array = npt.NDArray[np.float64]
Case = Callable[[Mapping[str, Array]], object]

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "compute.md"
PUBLISHED = next(p for p in nagai2020.PUBLISHED if p.alias == "NN-metaGGA-Nagai2020")
NAMES: dict[str, str] = {
    "xcnet M06-L": "M06-L",
    "xcnet NN-r2SCAN": "NN-r2SCAN",
    "xcnet NN-metaGGA": PUBLISHED.alias,
}
SPINS = ("polarized", "unpolarized")
#: What is computed together: an order and all below it.
ORDERS = {"exc + vxc": {}, "+ fxc": {"do_fxc": True}, "+ kxc": {"do_fxc": True, "do_kxc": True}}


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


def compute_case(name: str, spin: str, **orders: bool) -> Case:
    """Public `compute` of a functional."""
    functional = xcnet.functional(name, spin)
    return lambda inputs: functional.compute(inputs, **orders)


def libxc_case() -> Case:
    """The two halves of M06-L by libxc itself, without anything of ours but the call."""
    halves = [libxc.LibxcFunctional(f"mgga_{part}_m06_l", variables.POLARIZED) for part in "xc"]

    def evaluate(inputs: Mapping[str, Array]) -> None:
        points = len(inputs["rho"])
        for half in halves:
            labels = ("zk", *variables.labels(half.family_variables, 1))
            half.evaluate(
                inputs,
                {label: np.empty((points, variables.width(label, 2))) for label in labels},
            )

    return evaluate


def torch_case(module: torch.nn.Module) -> Case:
    """Energy and potential as a torch program computes them, float64, by autograd."""

    def evaluate(inputs: Mapping[str, Array]) -> list[Any]:
        leaves = {key: torch.from_numpy(v).requires_grad_() for key, v in inputs.items()}
        exc = module(**leaves)
        energy = (leaves["rho"].sum(dim=1, keepdim=True) * exc).sum()
        gradients = torch.autograd.grad(energy, list(leaves.values()))
        return [exc.detach().numpy(), *(g.numpy() for g in gradients)]

    return evaluate


def cases(weights: Path | None, folder: Path) -> dict[str, dict[str, Case]]:
    """All cases by spin and name; the published functional is exported to ``folder``.

    libxc alone and torch are there for comparison, with separate spins only.
    """
    module = nagai2020.load(nagai2020.original(PUBLISHED, weights))
    export(module, nagai2020.record(PUBLISHED), folder / PUBLISHED.name, card="# Benchmark copy\n")
    os.environ["XCNET_MODEL_PATH"] = str(folder)
    served = {
        spin: {label: compute_case(name, spin) for label, name in NAMES.items()} for spin in SPINS
    }
    served["polarized"] = {
        "libxc M06-L": libxc_case(),
        **served["polarized"],
        "torch NN-metaGGA": torch_case(module),
    }
    return served


def higher_orders() -> dict[str, dict[str, Case]]:
    """Cases of `ORDERS` by functional, polarized."""
    return {
        label: {order: compute_case(name, "polarized", **do) for order, do in ORDERS.items()}
        for label, name in NAMES.items()
    }


def measure(
    chosen: Mapping[str, Case], inputs: Mapping[str, Array], rounds: int
) -> dict[str, Array]:
    """Processor times of each case in seconds, (rounds,); the cases take turns."""
    times: dict[str, list[float]] = {name: [] for name in chosen}
    for _ in range(rounds + 1):
        for name, case in chosen.items():
            start = time.process_time()
            case(inputs)
            times[name].append(time.process_time() - start)
    # The first round starts sessions and fills caches.
    return {name: np.array(values[1:]) for name, values in times.items()}


def table(spin: str, many: Mapping[str, Array], one: Mapping[str, Array], points: int) -> str:
    """Markdown table of both measurements; ratios are of times taken in the same round."""
    reference = many["xcnet M06-L"]
    lines = [
        f"| exc + vxc, {spin} | µs per point, N = {points:,} | relative to xcnet M06-L "
        "| µs per call, N = 1 |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, times in many.items():
        lines.append(
            f"| {name} | {np.median(times) / points * 1e6:.2f} "
            f"| {np.median(times / reference):.2f} | {np.median(one[name]) * 1e6:.0f} |"
        )
    return "\n".join(lines)


def orders_table(found: Mapping[str, Mapping[str, Array]], points: int) -> str:
    """Markdown table of all orders; ratios of the fastest rounds."""
    lines = [
        f"| polarized, µs per point, N = {points:,} | {' | '.join(ORDERS)} "
        "| fxc / vxc | kxc / fxc |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, times in found.items():
        vxc, fxc, kxc = (times[order].min() / points * 1e6 for order in ORDERS)
        lines.append(
            f"| {name} | {vxc:.2f} | {fxc:.2f} | {kxc:.2f} | {fxc / vxc:.1f} | {kxc / fxc:.1f} |"
        )
    return "\n".join(lines)


def machine() -> str:
    """One line: what ran where."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = models[0].split(":", 1)[1].strip() if models else cpu
    return (
        f"{cpu}, one thread, Python {platform.python_version()}, numpy {np.__version__}, "
        f"onnxruntime {onnxruntime.__version__}, torch {torch.__version__}, "
        f"libxc {libxc.version_string()}, xcnet {xcnet.__version__}"
    )


def default_weights() -> Path | None:
    """Local copy of the published weights, if there is one."""
    given = os.environ.get("XCNET_NAGAI2020")
    folder = Path(given) if given else ROOT.parent / "shared" / "nagai2020"
    return folder if folder.is_dir() else None


def main() -> int:
    """Measure, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--weights", type=Path, default=default_weights())
    parser.add_argument("--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    xcnet.set_num_threads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        tables = []
        for spin, chosen in cases(arguments.weights, Path(folder)).items():
            one = measure(chosen, densities(1, spin), 500)
            many = measure(chosen, densities(arguments.points, spin), arguments.rounds)
            tables.append(table(spin, many, one, arguments.points))
        points = densities(arguments.points // 4, "polarized")
        orders = {
            name: measure(chosen, points, 1 + arguments.rounds // 3)
            for name, chosen in higher_orders().items()
        }
        tables.append(orders_table(orders, arguments.points // 4))
    text = (
        "# Cost of compute\n\n" + "\n\n".join(tables) + "\n\n"
        "Processor times. torch is the same network evaluated and differentiated by autograd in "
        f"float64; medians of {arguments.rounds} rounds (500 for one point), in which the cases "
        "take turns; ratios are taken within each round. Last table: an order is computed with all "
        "below it; fastest rounds."
        f"\n\n{machine()}\n\nMade by `make bench` (`benchmarks/compute.py`).\n"
    )
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
