"""XCDIFF: uniform-gas exchange and correlation times networks with constraints.

S. Dick, M. Fernandez-Serra, Phys. Rev. B 104, L161109 (2021), doi:10.1103/PhysRevB.104.L161109.
Constants are those of the authors' program, one slip of it included: the exponent 2/3 of 1 - zeta
in the spin scaling of correlation's gradient is a square and a third. It was trained so, and makes
the functional asymmetric in the spins.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from math import log, pi

import torch
from torch import Tensor, exp, nn, tanh

from xcnet.catalogue import Collection
from xcnet.errors import InstallError
from xcnet.published import functional
from xcnet.published.functional import Published
from xcnet.published.readers import torchscript
from xcnet.published.readers.arrays import Array
from xcnet.training.form.baselines import PW92_ORIGINAL, SLATER, pw92

#: Keep logarithms and quotients finite; part of the published form.
TINY, TINY_PW92, TINY_RADIUS = 1e-7, 1e-8, 1e-5
FERMI = 2.0 * (3.0 * pi**2) ** (1.0 / 3.0)
UNIFORM_TAU = 0.3 * (3.0 * pi**2) ** (2.0 / 3.0)
#: Largest factor of exchange.
BOUND = 1.174
HIDDEN = 16
CITATION = {
    "key": "Dick2021_L161109",
    "text": "S. Dick and M. Fernandez-Serra, Phys. Rev. B 104, L161109 (2021)",
    "doi": "10.1103/PhysRevB.104.L161109",
    "bibtex": (
        "@article{Dick2021_L161109,\n"
        "  title = {Highly accurate and constrained density functional obtained with "
        "differentiable programming},\n"
        "  author = {Dick, Sebastian and Fernandez-Serra, Marivi},\n"
        "  journal = {Phys. Rev. B},\n"
        "  volume = {104},\n"
        "  pages = {L161109},\n"
        "  year = {2021},\n"
        "  doi = {10.1103/PhysRevB.104.L161109}\n"
        "}"
    ),
}
CARD = """# XCDIFF

The meta-GGA of S. Dick and M. Fernandez-Serra, Phys. Rev. B 104, L161109 (2021),
doi:10.1103/PhysRevB.104.L161109. {origin}

- Trained by its authors inside the Kohn-Sham equations on energies and densities of small
  molecules; exchange is at most 1.174 times the uniform gas's, correlation is never positive.
- Not symmetric in the spins: one of two equal terms of correlation has another exponent in the
  authors' program. Exchanging the spins changes energies densities by up to 1 %, so that an open
  shell's energy depends on which spin is called up: give the majority to the first, as programs do.
- It reads the iso-orbital indicator down to zero only: below, where no density of orbitals is, it
  is continued flat.
"""


class FactorPerceptron(nn.Module):
    """Three hidden layers of 16 with the exact GELU."""

    def __init__(self, features: int) -> None:
        super().__init__()
        sizes = (features, HIDDEN, HIDDEN, HIDDEN, 1)
        self.layers = nn.ModuleList(nn.Linear(*s, dtype=torch.float64) for s in pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        """Return (N,) of features (N, k)."""
        *hidden, last = self.layers
        for layer in hidden:
            x = nn.functional.gelu(layer(x))
        output: Tensor = last(x)
        return output[:, 0]


class XCDiff(nn.Module):
    """Energy per particle, float64, Hartree."""

    def __init__(self) -> None:
        super().__init__()
        self.exchange, self.correlation = FactorPerceptron(2), FactorPerceptron(4)

    def forward(self, rho: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
        """Return (N,); inputs in libxc's layout, spin resolved (N, k)."""
        n = rho.sum(1)
        doubled = 2.0 * rho, 4.0 * sigma[:, ::2], 2.0 * tau
        up, down = (
            rho[:, s] / n * self.exchange_energy(*(x[:, s] for x in doubled)) for s in (0, 1)
        )
        gradient = sigma[:, 0] + 2.0 * sigma[:, 1] + sigma[:, 2]
        return up + down + self.correlation_energy(rho, gradient, tau.sum(1))

    def closed_shell(self, rho: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
        """Return (N,); inputs are those of both spins together (N, 1)."""
        exchange = self.exchange_energy(rho[:, 0], sigma[:, 0], tau[:, 0])
        spins = (0.5 * rho).expand(-1, 2)
        return exchange + self.correlation_energy(spins, sigma[:, 0], tau[:, 0])

    def exchange_energy(self, n: Tensor, gradient: Tensor, tau: Tensor) -> Tensor:
        """Exchange energy per particle of a closed shell (N,)."""
        norm = torch.sqrt(gradient) / (FERMI * n ** (4.0 / 3.0) + TINY)
        s, a = gradient_feature(norm), tau_feature(_excess(n, gradient, tau))
        q = self.exchange(torch.stack([s, a], 1)) * (s + tanh(a) ** 2)
        factor = BOUND * torch.sigmoid(q - log(BOUND - 1.0))
        return SLATER * n ** (1.0 / 3.0) * factor

    def correlation_energy(self, rho: Tensor, gradient: Tensor, tau: Tensor) -> Tensor:
        """Correlation energy per particle (N,)."""
        n = rho.sum(1)
        up, down = ((2.0 * rho + TINY) / (n + TINY)[:, None]).unbind(1)
        norm = torch.sqrt(gradient) / (FERMI * n ** (4.0 / 3.0) + TINY)
        s = gradient_feature(norm / (up ** (2.0 / 3.0) + down**2 / 3.0))
        a = tau_feature(2.0 * _excess(n, gradient, tau) / (up ** (5.0 / 3.0) + down ** (5.0 / 3.0)))
        density = torch.log(n ** (1.0 / 3.0) + TINY_RADIUS)
        spin = torch.log(0.5 * (up ** (4.0 / 3.0) + down ** (4.0 / 3.0)))
        output = self.correlation(torch.stack([density, spin, s, a], 1))
        q = nn.functional.softplus(output) * (tanh(s) + tanh(a) ** 2)
        return (2.0 - 2.0 * torch.sigmoid(q)) * pw92(rho + 0.5 * TINY_PW92, PW92_ORIGINAL)


def _excess(n: Tensor, gradient: Tensor, tau: Tensor) -> Tensor:
    """Kinetic energy density beyond von Weizsaecker's, over the uniform gas's."""
    return (tau - gradient / (8.0 * (n + TINY))) / (UNIFORM_TAU * n ** (5.0 / 3.0) + TINY)


def gradient_feature(x: Tensor) -> Tensor:
    """S of the reduced gradient."""
    return (1.0 - exp(-(x * x))) * torch.log(1.0 + x)


def tau_feature(x: Tensor) -> Tensor:
    """A of the iso-orbital indicator, which is not negative."""
    x = torch.clamp(x, min=0.0)
    return torch.log(0.5 * (x**3 / (x * x + TINY) + 1.0))


def load(data: bytes, source: str) -> XCDiff:
    """Module with the authors' weights (InstallError)."""
    parameters = torchscript.arrays(data, source)
    module = XCDiff()
    for number, network in enumerate((module.exchange, module.correlation)):
        for position, layer in enumerate(network.layers):
            name = f"grid_models.{number}.net.{2 * position}"
            for key, parameter in layer.named_parameters():
                parameter.data = torch.from_numpy(
                    _shaped(parameters, f"{name}.{key}", tuple(parameter.shape), source)
                )
    return module.requires_grad_(False).eval()


def _shaped(arrays: Mapping[str, Array], name: str, shape: tuple[int, ...], source: str) -> Array:
    own = arrays[name].shape if name in arrays else None
    if own != shape:
        raise InstallError(f"{source}: {name} has the shape {own}, not {shape}", source=source)
    return arrays[name].copy()


def functionals(collection: Collection, files: Mapping[str, bytes]) -> list[Published]:
    """The functional with its record, for `xcnet.published.conversion`."""
    record = functional.record(
        collection,
        name="mgga_xc_xcdiff",
        aliases=["XCDIFF"],
        id=100112,
        description=(
            "Dick and Fernandez-Serra's published constrained neural network, trained by "
            "differentiable programming"
        ),
        spin_symmetric=False,
        # Below, correlation at n + 1e-8 outgrows all else.
        thresholds={**functional.THRESHOLDS, "density": 1e-11},
        training={"protocol": "by the authors, inside the Kohn-Sham equations"},
        domain={"elements": [], "density": [TINY, 1e4]},
        citations=[CITATION],
    )
    card = CARD.format(origin=functional.origin(collection))
    return [Published(load(files["xc"], "xc"), record, card)]
