"""pcNN: SCAN's exchange and correlation times networks with physical constraints.

R. Nagai, R. Akashi, O. Sugino, Phys. Rev. Research 4, 013106 (2022),
doi:10.1103/PhysRevResearch.4.013106. Each factor is interpolated between known values at limits of
its features and the network elsewhere; features and constants are those of the authors' program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log, pi
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn, tanh

from xcnet.catalogue import Collection
from xcnet.errors import InstallError
from xcnet.published import functional
from xcnet.published.functional import Published
from xcnet.published.readers import arrays
from xcnet.training.form.scan import scan_c, scan_x_by_spin

#: Keep quotients and the slope of the gradient's norm finite; part of the published form.
TINY, TINY_GRADIENT = 1e-7, 10.0 ** (-56.0 / 3.0)
UNIFORM_TAU = 0.3 * (3.0 * pi**2) ** (2.0 / 3.0)
#: Distance of two limits up to which their weights do not know each other.
NEAR = 1e-7
#: Layers of the exchange network, whose first two correlation shares, and its own: in, out.
SIZES = {"1": (2, 100), "2": (100, 100), "3": (100, 100), "4": (100, 1),
         "1c": (2, 100), "2c": (100, 100), "3c": (200, 100), "4c": (100, 1)}  # fmt: skip
FIRST = ("1", "1c")

#: A feature, which may be a constant.
Feature: TypeAlias = Tensor | float
CITATION = {
    "key": "Nagai2022_013106",
    "text": "R. Nagai, R. Akashi, and O. Sugino, Phys. Rev. Research 4, 013106 (2022)",
    "doi": "10.1103/PhysRevResearch.4.013106",
    "bibtex": (
        "@article{Nagai2022_013106,\n"
        "  title = {Machine-learning-based exchange correlation functional with physical "
        "asymptotic constraints},\n"
        "  author = {Nagai, Ryo and Akashi, Ryosuke and Sugino, Osamu},\n"
        "  journal = {Phys. Rev. Research},\n"
        "  volume = {4},\n"
        "  pages = {013106},\n"
        "  year = {2022},\n"
        "  doi = {10.1103/PhysRevResearch.4.013106}\n"
        "}"
    ),
}
SCAN = {
    "key": "Sun2015_036402",
    "text": "J. Sun, A. Ruzsinszky, and J. P. Perdew, Phys. Rev. Lett. 115, 036402 (2015)",
    "doi": "10.1103/PhysRevLett.115.036402",
    "bibtex": (
        "@article{Sun2015_036402,\n"
        "  title = {Strongly Constrained and Appropriately Normed Semilocal Density Functional},\n"
        "  author = {Sun, Jianwei and Ruzsinszky, Adrienn and Perdew, John P.},\n"
        "  journal = {Phys. Rev. Lett.},\n"
        "  volume = {115},\n"
        "  pages = {036402},\n"
        "  year = {2015},\n"
        "  doi = {10.1103/PhysRevLett.115.036402}\n"
        "}"
    ),
}
CARD = """# pcNN

Exchange and correlation of SCAN times the networks of R. Nagai, R. Akashi and O. Sugino,
Phys. Rev. Research 4, 013106 (2022), doi:10.1103/PhysRevResearch.4.013106. {origin}

- Trained by its authors inside the Kohn-Sham equations on small molecules, with ten physical
  limits held by interpolation; the exchange of both spins apart.
- The weights are those of the repository's last change. They give water in 6-31G at grid level 3
  -76.348472 Ha; the value in the authors' README, -76.346200 Ha, is that of older weights.
- SCAN's switching function is flat at alpha = 1 and steep beside it, and the gradient's norm has a
  kink where the gradient vanishes: second derivatives are large there, and grids must be fine.
"""


def soft(x: Tensor) -> Tensor:
    """ln(1 + e^x); where the authors' ln(1 + 4^x)/ln 2 stands, the weights hold the constants."""
    return nn.functional.softplus(x, threshold=40.0)


class PcNN(nn.Module):
    """Energy per particle, float64, Hartree."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(
            {name: nn.Linear(*size, dtype=torch.float64) for name, size in SIZES.items()}
        )

    def forward(self, rho: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
        """Return (N,); inputs in libxc's layout, spin resolved (N, k)."""
        exchange = scan_x_by_spin(rho, sigma, tau) * self.exchange_factors(rho, sigma, tau)
        correlation = scan_c(rho, sigma, tau) * self.correlation_factor(rho, sigma, tau)
        return exchange.sum(1) / rho.sum(1) + correlation

    def closed_shell(self, rho: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
        """Return (N,); inputs are those of both spins together (N, 1)."""
        half = (0.5 * rho, 0.25 * sigma, 0.5 * tau)
        spins = [x.expand(-1, k) for x, k in zip(half, (2, 3, 2), strict=True)]
        factor = self._exchange_factor(rho[:, 0], sigma[:, 0], tau[:, 0])
        exchange = 2.0 * scan_x_by_spin(*half)[:, 0] * factor
        correlation = scan_c(*spins) * self.correlation_factor(*spins)
        return exchange / rho[:, 0] + correlation

    def exchange_factors(self, rho: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
        """Factor of SCAN's exchange for each spin channel (N, 2)."""
        doubled = 2.0 * rho, 4.0 * sigma[:, ::2], 2.0 * tau
        return torch.stack([self._exchange_factor(*(x[:, s] for x in doubled)) for s in (0, 1)], 1)

    def _exchange_factor(self, n: Tensor, gradient: Tensor, tau: Tensor) -> Tensor:
        t2, t3 = reduced(n + TINY, gradient, tau)
        nodes: Sequence[tuple[Feature, ...]] = ((0.0, 0.0), (1.0, t3))
        value = self._exchange_network(t2, t3)
        values = [value - self._exchange_network(*node) + 1.0 for node in nodes]
        return interpolated((t2, t3), nodes, values)

    def correlation_factor(self, rho: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
        """Factor of SCAN's correlation (N,)."""
        n = rho.sum(1) + TINY
        t0 = tanh(n ** (1.0 / 3.0))
        up, down = ((2.0 * rho + TINY) / n[:, None]).unbind(1)
        t1 = tanh(0.5 * (up ** (4.0 / 3.0) + down ** (4.0 / 3.0)))
        gradient = sigma[:, 0] + 2.0 * sigma[:, 1] + sigma[:, 2]
        t2, t3 = reduced(n, gradient, tau.sum(1))
        nodes: Sequence[tuple[Feature, ...]] = (
            (t0, t1, 0.0, 0.0),
            (0.0, t1, t2, t3),
            (1.0, t1, t2, t3),
        )
        network = self._correlation_network
        value = network(t0, t1, t2, t3)
        values = [value - network(*node) + 1.0 for node in nodes]
        values[1] = values[1] + network(t0, 0.0, t2, t3) - network(0.0, 0.0, t2, t3)
        return interpolated((t0, t1, t2, t3), nodes, values)

    def _shared(self, t2: Feature, t3: Feature) -> Tensor:
        return soft(self.layers["2"](soft(self.layers["1"](pair(t2, t3)))))

    def _exchange_network(self, t2: Feature, t3: Feature) -> Tensor:
        output: Tensor = self.layers["4"](soft(self.layers["3"](self._shared(t2, t3))))
        return output[:, 0]

    def _correlation_network(self, t0: Feature, t1: Feature, t2: Feature, t3: Feature) -> Tensor:
        a = soft(self.layers["2c"](soft(self.layers["1c"](pair(t0, t1)))))
        b = self._shared(t2, t3)
        layer = cast(nn.Linear, self.layers["3c"])
        # The halves apart: each is needed with several others, and computed once.
        left, right = layer.weight.split(SIZES["2c"][1], dim=1)
        output: Tensor = self.layers["4c"](soft(a @ left.T + b @ right.T + layer.bias))
        return output[:, 0]


def pair(a: Feature, b: Feature) -> Tensor:
    """Two features side by side, (N, 2), or (1, 2) if both are constants."""
    if isinstance(a, Tensor):
        return torch.stack([a, b if isinstance(b, Tensor) else torch.full_like(a, b)], 1)
    if isinstance(b, Tensor):
        return torch.stack([torch.full_like(b, a), b], 1)
    return torch.tensor([[a, b]], dtype=torch.float64)


def reduced(n: Tensor, gradient: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
    """Features of the squared gradient and of the kinetic energy density."""
    u = n ** (1.0 / 3.0)
    norm = torch.sqrt(gradient + TINY_GRADIENT)
    return tanh(norm / u**4), tanh(tau / (UNIFORM_TAU * u**5) - 1.0)


def interpolated(
    point: Sequence[Feature], nodes: Sequence[Sequence[Feature]], values: Sequence[Tensor]
) -> Tensor:
    """Values of the nodes, weighted by how near the point is to each; then positive."""
    near = [distance(point, node) for node in nodes]
    weights: list[Tensor] = []
    for i, node in enumerate(nodes):
        factors = [share(near[j], distance(node, other)) for j, other in enumerate(nodes) if j != i]
        weights.append(factors[0] * factors[1] if len(factors) > 1 else factors[0])
    pairs = zip(weights, values, strict=True)
    mix = torch.stack([weight * value for weight, value in pairs]).sum(0)
    mix = mix / torch.stack(weights).sum(0)
    return soft(log(4.0) * (mix - 1.0)) / log(2.0)


def distance(a: Sequence[Feature], b: Sequence[Feature]) -> Tensor:
    """tanh of the squared distance of two points of the features' space."""
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if x is not y]
    square = sum((x - y) * (x - y) for x, y in pairs)
    return tanh(torch.as_tensor(square, dtype=torch.float64))


def share(near: Tensor, apart: Tensor) -> Tensor:
    """Factor of one node's weight by the distance to another one, and of the two."""
    return torch.where(apart < NEAR, 1.0, near / torch.clamp(apart, min=NEAR))


def load(files: Mapping[str, bytes]) -> PcNN:
    """Module with the authors' weights (InstallError).

    Their activation ln(1 + 4^x)/ln 2 is ln(1 + e^y)/ln 2 of y = x ln 4: the constants go into the
    layers before and after it.
    """
    module = PcNN()
    for name, linear in module.layers.items():
        layer = cast(nn.Linear, linear)
        last = name.startswith("4")
        before = 1.0 if last else log(4.0)
        after = 1.0 if name in FIRST else 1.0 / log(2.0)
        weight = arrays.npy(files[f"w{name}.npy"], f"w{name}.npy")
        bias = arrays.npy(files[f"b{name}.npy"], f"b{name}.npy")
        if weight.size != layer.weight.numel() or bias.size != layer.bias.numel():
            raise InstallError(
                f"w{name}.npy has the shape {weight.shape}, not {tuple(layer.weight.shape)}",
                source=f"w{name}.npy",
            )
        layer.weight.data = torch.from_numpy(before * after * weight).reshape(layer.weight.shape)
        layer.bias.data = torch.from_numpy(before * bias).reshape(-1)
    return module.requires_grad_(False).eval()


def functionals(collection: Collection, files: Mapping[str, bytes]) -> list[Published]:
    """The functional with its record, for `xcnet.published.conversion`."""
    record = functional.record(
        collection,
        name="mgga_xc_pcnn",
        aliases=["pcNN"],
        id=100111,
        description=(
            "Nagai, Akashi and Sugino's published neural network with physical asymptotic "
            "constraints, a factor of SCAN"
        ),
        enforce_fhc=True,  # as libxc's SCAN, which the authors' program calls
        training={"protocol": "by the authors, inside the Kohn-Sham equations"},
        domain={"elements": [], "density": [TINY, 1e4]},
        citations=[CITATION, SCAN],
    )
    card = CARD.format(origin=functional.origin(collection))
    return [Published(load(files), record, card, ("exc", "vxc", "fxc"))]
