"""The DM21 family: local hybrids by one network of the density and of local exact exchange.

J. Kirkpatrick et al., Science 374, 1385 (2021), doi:10.1126/science.abj6511. The network gives the
factors of the local density's exchange and of local exact exchange at omega = 0 and 0.4. It was
trained in single precision and reads the spins in their order: it is not symmetric in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import pi
from typing import cast

import torch
from torch import Tensor, nn

from xcnet.catalogue import Collection
from xcnet.errors import InstallError
from xcnet.published import functional
from xcnet.published.functional import Published
from xcnet.published.readers import tensorflow
from xcnet.published.readers.arrays import Array

#: Range separations of local exact exchange, bohr^-1.
OMEGAS = (0.0, 0.4)
WIDTH, BLOCKS, FEATURES, FACTORS = 256, 6, 11, 3
#: Keep the logarithm finite; part of the published form.
SMALL = 1e-9 + 1e-4
LDA = -2.0 * pi * (3.0 / (4.0 * pi)) ** (4.0 / 3.0)
PREFIX = "hub_wrapper/local_functional_v2/"
#: Descriptor of the record: the orbital field of local exact exchange.
DESCRIPTOR = "local_exact_exchange"
#: D3(BJ) of B3LYP, S. Grimme et al., doi:10.1002/jcc.21759, which the authors add.
DISPERSION = {"method": "D3BJ", "parameters": {"s8": 1.9889, "a1": 0.3981, "a2": 4.4211}}
TRAINED = {
    "DM21": "molecules, fractional charges and fractional spins",
    "DM21m": "molecules",
    "DM21mc": "molecules and fractional charges",
    "DM21mu": "molecules and the uniform gas",
}
CITATION = {
    "key": "Kirkpatrick2021_1385",
    "text": "J. Kirkpatrick et al., Science 374, 1385 (2021)",
    "doi": "10.1126/science.abj6511",
    "bibtex": (
        "@article{Kirkpatrick2021_1385,\n"
        "  title = {Pushing the frontiers of density functionals by solving the fractional "
        "electron problem},\n"
        "  author = {Kirkpatrick, James and others},\n"
        "  journal = {Science},\n"
        "  volume = {374},\n"
        "  pages = {1385},\n"
        "  year = {2021},\n"
        "  doi = {10.1126/science.abj6511}\n"
        "}"
    ),
}
CARD = """# {name}

A functional of J. Kirkpatrick et al., Science 374, 1385 (2021), doi:10.1126/science.abj6511:
local exchange and local exact exchange at two ranges, each times a factor of a network. {origin}
The weights are those of its authors under CC BY 4.0, converted to graphs in double precision.

- Trained by its authors on {trained}.
- Its energies belong with D3(BJ) and the parameters of B3LYP: add the suffix -D3BJ to the name.
- Not symmetric in the spins: the network reads them in their order.
- Trained in single precision; energies depend on the grid by some 10^-3 Ha at coarse levels.
"""


class ResidualBlock(nn.Module):
    """Residual block: linear, layer normalization, ELU."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, WIDTH, dtype=torch.float64)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-5, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, WIDTH)."""
        return nn.functional.elu(self.norm(self.linear(x) + x))


class DM21(nn.Module):
    """Energy per particle, float64, Hartree."""

    def __init__(self) -> None:
        super().__init__()
        self.squash = nn.Linear(FEATURES, WIDTH, dtype=torch.float64)
        self.blocks = nn.ModuleList(ResidualBlock() for _ in range(BLOCKS))
        self.output = nn.Linear(WIDTH, FACTORS, dtype=torch.float64)

    def forward(
        self, rho: Tensor, sigma: Tensor, tau: Tensor, local_exact_exchange: Tensor
    ) -> Tensor:
        """Return (N,); inputs in libxc's layout, spin resolved (N, k).

        ``local_exact_exchange`` (N, 4): energy per volume of each spin, Hartree bohr^-3, in the
        order (a omega 0, a omega 0.4, b omega 0, b omega 0.4).
        """
        total = sigma[:, 0] + 2.0 * sigma[:, 1] + sigma[:, 2]
        rest = torch.stack([total, sigma[:, 0], sigma[:, 2]], 1)
        x = torch.cat([rho, rest, tau, local_exact_exchange], 1)
        f = self.factors(x)
        exact = local_exact_exchange[:, :2] + local_exact_exchange[:, 2:]
        local = LDA * (rho ** (4.0 / 3.0)).sum(1)
        return (f[:, 0] * local + (f[:, 1:] * exact).sum(1)) / rho.sum(1)

    def factors(self, x: Tensor) -> Tensor:
        """Factors (N, 3) of local exchange and of exact exchange at both omegas."""
        y = torch.tanh(self.squash(torch.log(torch.abs(x) + SMALL)))
        for block in self.blocks:
            y = block(y)
        return 2.0 * torch.sigmoid(0.5 * self.output(y))


def load(index: bytes, data: bytes, source: str) -> DM21:
    """Module with the authors' weights, float32 in the files (InstallError)."""
    variables = tensorflow.arrays(index, data, source)
    module = DM21()
    _linear(module.squash, variables, "SquashUnprocessedData/linear", source)
    _linear(module.output, variables, "OutputLayer/linear", source)
    for number, block in enumerate(cast(Iterable[ResidualBlock], module.blocks)):
        name = f"MLP/ResidualBlock{f'_{number}' if number else ''}"
        _linear(block.linear, variables, f"{name}/linear", source)
        block.norm.weight.data = _array(variables, f"{name}/layer_norm/gamma", (WIDTH,), source)
        block.norm.bias.data = _array(variables, f"{name}/layer_norm/beta", (WIDTH,), source)
    return module.requires_grad_(False).eval()


def functionals(collection: Collection, files: Mapping[str, bytes]) -> list[Published]:
    """The four functionals with their records, for `xcnet.published.conversion`."""
    published = []
    for number, (name, trained) in enumerate(TRAINED.items()):
        folder = f"{name}/variables/variables"
        index, data = files[f"{folder}.index"], files[f"{folder}.data-00000-of-00001"]
        record = functional.record(
            collection,
            name=f"mgga_xc_{name.lower()}",
            aliases=[name],
            id=100121 + number,
            description=f"Kirkpatrick et al.'s published local hybrid, trained on {trained}",
            descriptors={DESCRIPTOR: {"omegas": list(OMEGAS)}},
            dispersion=DISPERSION,
            grid_level=4,
            spin_symmetric=False,
            training={"protocol": "by the authors, at densities of B3LYP", "data": trained},
            domain={"elements": [], "density": [SMALL, 1e4]},
            citations=[CITATION],
        )
        card = CARD.format(name=name, origin=functional.origin(collection), trained=trained)
        module = load(index, data, name)
        published.append(Published(module, record, card, ("exc", "vxc", "fxc")))
    return published


def _linear(layer: nn.Linear, variables: Mapping[str, Array], name: str, source: str) -> None:
    size = (layer.in_features, layer.out_features)
    layer.weight.data = _array(variables, f"{name}/w", size, source).T.contiguous()
    layer.bias.data = _array(variables, f"{name}/b", size[1:], source)


def _array(
    variables: Mapping[str, Array], name: str, shape: tuple[int, ...], source: str
) -> Tensor:
    array = variables.get(PREFIX + name)
    if array is None or array.shape != shape:
        given = None if array is None else array.shape
        raise InstallError(f"{source}: {name} has the shape {given}, not {shape}", source=source)
    return torch.from_numpy(array.copy())
