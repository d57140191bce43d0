"""Functionals of the toys, as torch modules, and their records."""

from __future__ import annotations

import shutil
from typing import Any

import torch
from torch import Tensor

from tests import toys
from xcnet.export.exporter import export

MIXING = [[0.3, -0.2], [0.1, 0.4], [-0.5, 0.2]]
HUBS, RIPPLES = "hubs", "ripples"


class Channels(torch.nn.Module):
    """Three channels of the density, symmetric in the spins."""

    def forward(self, rho: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
        n = rho.sum(1) + 1e-3
        slope = (sigma[:, 0] + 2.0 * sigma[:, 1] + sigma[:, 2] + 1e-6) ** 0.5
        return torch.stack([torch.tanh(n), slope / (1.0 + slope), torch.tanh(tau.sum(1) * n)], 1)


class Energy(torch.nn.Module):
    """Slater's energy times a factor of the descriptors."""

    def __init__(self, label: str) -> None:
        super().__init__()
        self.label = label

    def forward(self, rho: Tensor, sigma: Tensor, tau: Tensor, **descriptors: Tensor) -> Tensor:
        values = descriptors[self.label]
        n = rho.sum(1)
        if self.label == RIPPLES:
            u, v = values[:, 0] + values[:, 2], values[:, 1] + values[:, 3]
        else:
            u, v = values[:, 0], values[:, 1]
        s = (sigma[:, 0] + 2.0 * sigma[:, 1] + sigma[:, 2]) / (n**2 + 1e-2)
        factor = torch.sigmoid(0.7 * u - 0.4 * u * v / (1.0 + v * v)) * (1.0 + 0.1 * torch.tanh(s))
        return -0.7 * n ** (1 / 3) * (0.5 + factor)


def record(name: str, number: int, descriptors: dict[str, Any]) -> dict[str, Any]:
    return {
        "format_version": 1,
        "name": name,
        "aliases": [name.removeprefix("mgga_xc_").replace("_", "-")],
        "id": number,
        "family": "mgga",
        "kind": "exchange-correlation",
        "description": "A functional for tests",
        "inputs": ["rho", "sigma", "tau"],
        "descriptors": descriptors,
        "thresholds": {"density": 1e-12, "zeta": 2.2e-16, "sigma": 1e-16, "tau": 1e-20},
        "enforce_fhc": False,
        "exact_exchange": {"coefficient": 0.0, "omega": 0.0, "alpha": 0.0, "beta": 0.0},
        "dispersion": None,
        "grid_level": 3,
        "training": {"protocol": "none: a formula"},
        "domain": {"elements": [], "density": [0.0, 1e5]},
        "citations": [{"key": "none", "text": "none", "doi": "", "bibtex": "@misc{none}"}],
        "license": "MIT",
    }


def main() -> None:
    """Make the folder of the functional with hubs again."""
    name = f"mgga_xc_toy_{HUBS}"
    folder = toys.FOLDER / "models" / name
    shutil.rmtree(folder, ignore_errors=True)
    facts = record(name, 199101, {HUBS: {"mixing": MIXING}})
    with toys.known():
        export(Energy(HUBS), facts, folder, ("exc", "vxc"), channels=Channels())
    print(folder)


if __name__ == "__main__":
    main()
