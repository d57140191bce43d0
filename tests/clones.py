"""Torch copies of libxc functionals, exported to tests/models: ``python -m tests.clones``.

Their values are known from libxc, so everything between a torch module and a host can be tested
with them. They are no functionals for users.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xcnet import variables
from xcnet.training import export
from xcnet.training.form import baselines

MODELS = Path(__file__).resolve().parent / "models"
#: The PySCF adapter's self-test has a copy of its own, without higher derivatives.
STARTUP = MODELS.parent.parent / "adapters" / "pyscf"


def _article(key: str, authors: str, journal: str, doi: str) -> dict[str, str]:
    name, volume, page, year = journal.rsplit(maxsplit=3)
    fields = {
        "author": authors,
        "journal": name,
        "volume": volume.rstrip(","),
        "pages": page,
        "year": year.strip("()"),
        "doi": doi,
    }
    lines = ",\n".join(f"  {field} = {{{value}}}" for field, value in fields.items())
    text = f"{authors.replace(' and ', ', ')}, {journal}"
    return {
        "key": key,
        "text": text,
        "doi": doi,
        "bibtex": f"@article{{{key},\n{lines}\n}}",
    }


DIRAC = _article(
    "Dirac1930_376",
    "P. A. M. Dirac",
    "Math. Proc. Cambridge Philos. Soc. 26, 376 (1930)",
    "10.1017/S0305004100016108",
)
BECKE = _article(
    "Becke1988_3098",
    "A. D. Becke",
    "Phys. Rev. A 38, 3098 (1988)",
    "10.1103/PhysRevA.38.3098",
)
PBE = _article(
    "Perdew1996_3865",
    "J. P. Perdew and K. Burke and M. Ernzerhof",
    "Phys. Rev. Lett. 77, 3865 (1996)",
    "10.1103/PhysRevLett.77.3865",
)
TPSS = _article(
    "Tao2003_146401",
    "J. Tao and J. P. Perdew and V. N. Staroverov and G. E. Scuseria",
    "Phys. Rev. Lett. 91, 146401 (2003)",
    "10.1103/PhysRevLett.91.146401",
)


@dataclass(frozen=True)
class Clone:
    """One clone: its names, libxc's functionals that it equals, and its energy in torch."""

    name: str
    alias: str
    id: int
    libxc: tuple[str, ...]
    energy: Callable[..., Tensor]
    citation: dict[str, str]
    density_threshold: float

    @property
    def family(self) -> str:
        """Family in libxc's words."""
        return self.name.split("_")[0]

    @property
    def kind(self) -> str:
        """Kind in libxc's words."""
        kinds = {"x": "exchange", "c": "correlation", "xc": "exchange-correlation"}
        return kinds[self.name.split("_")[1]]


def _b88(rho: Tensor, sigma: Tensor, empty: float) -> Tensor:
    beta, four_thirds = 0.0042, (rho + baselines.TINY) ** (4.0 / 3.0)
    x = torch.sqrt(sigma[:, ::2] + baselines.TINY**2) / four_thirds
    arsinh = torch.log(x + torch.sqrt(1.0 + x**2))
    slater = 1.5 * (0.75 / torch.pi) ** (1.0 / 3.0)
    factor = slater + beta * x**2 / (1.0 + 6.0 * beta * x * arsinh)
    return baselines.sum_of_channels(-four_thirds * factor, rho, empty)


def _pbe(rho: Tensor, sigma: Tensor, empty: float) -> Tensor:
    return baselines.pbe_x(rho, sigma, empty) + baselines.pbe_c(rho, sigma)


def _tpss(rho: Tensor, sigma: Tensor, tau: Tensor, empty: float) -> Tensor:
    exchange = baselines.tpss_x(rho, sigma, tau, empty)
    return exchange + baselines.tpss_c(rho, sigma, tau, empty)


CLONES = (
    Clone("lda_x_slater_clone", "Slater_clone", 190001, ("lda_x",), baselines.slater, DIRAC, 1e-15),
    Clone("gga_x_pbe_clone", "PBE_clone_x", 190002, ("gga_x_pbe",), baselines.pbe_x, PBE, 1e-15),
    Clone("gga_c_pbe_clone", "PBE_clone_c", 190003, ("gga_c_pbe",), baselines.pbe_c, PBE, 1e-12),
    Clone("gga_xc_pbe_clone", "PBE_clone", 190004, ("gga_x_pbe", "gga_c_pbe"), _pbe, PBE, 1e-12),
    Clone(
        "mgga_x_tpss_clone", "TPSS_clone_x", 190005, ("mgga_x_tpss",), baselines.tpss_x, TPSS, 1e-15
    ),
    Clone(
        "mgga_c_tpss_clone", "TPSS_clone_c", 190006, ("mgga_c_tpss",), baselines.tpss_c, TPSS, 1e-15
    ),
    Clone(
        "mgga_xc_tpss_clone",
        "TPSS_clone",
        190007,
        ("mgga_x_tpss", "mgga_c_tpss"),
        _tpss,
        TPSS,
        1e-15,
    ),
    Clone("gga_x_b88_clone", "B88_clone", 190008, ("gga_x_b88",), _b88, BECKE, 1e-15),
)


class Module(torch.nn.Module):
    """A function of the density variables as a torch module."""

    def __init__(self, energy: Callable[..., Tensor]) -> None:
        super().__init__()
        self.energy = energy

    def forward(self, **inputs: Tensor) -> Tensor:
        """Energy per particle (N,)."""
        return self.energy(**inputs)


def record(clone: Clone) -> dict[str, Any]:
    """Record of a clone; thresholds and Fermi-hole curvature as in libxc."""
    return {
        "format_version": 1,
        "name": clone.name,
        "aliases": [clone.alias],
        "id": clone.id,
        "family": clone.family,
        "kind": clone.kind,
        "description": f"Test copy of libxc's {' + '.join(clone.libxc)}, made from torch",
        "inputs": list(variables.family_variables(clone.family)),
        "descriptors": {},
        "thresholds": {
            "density": clone.density_threshold,
            "zeta": 2.2e-16,
            "sigma": float(f"{clone.density_threshold ** (4.0 / 3.0):.3g}"),
            "tau": 1e-20,
        },
        "enforce_fhc": clone.family == "mgga",
        "exact_exchange": {"coefficient": 0.0, "omega": 0.0, "alpha": 0.0, "beta": 0.0},
        "dispersion": None,
        "grid_level": 3,
        "training": {"protocol": "none: a formula"},
        "domain": {"elements": [], "density": [0.0, 1e5]},
        "citations": [clone.citation],
        "license": "MIT",
    }


def make(clone: Clone, parent: Path, orders: Sequence[str] = variables.ORDERS[:4]) -> Path:
    """Export one clone to ``parent / name``, which must not exist."""
    energy = clone.energy
    if "empty" in signature(energy).parameters:
        energy = partial(energy, empty=clone.density_threshold)
    export(Module(energy), record(clone), parent / clone.name, orders)
    return parent / clone.name


def main() -> None:
    """Make all clones again."""
    MODELS.mkdir(exist_ok=True)
    for clone in CLONES:
        shutil.rmtree(MODELS / clone.name, ignore_errors=True)
        print(make(clone, MODELS))
    clone = next(c for c in CLONES if c.alias == "PBE_clone")
    shutil.rmtree(STARTUP / clone.name, ignore_errors=True)
    print(make(clone, STARTUP, ("exc", "vxc")))


if __name__ == "__main__":
    main()
