"""The DM21 family: local hybrids by one network of the density and of local exact exchange.

J. Kirkpatrick et al., Science 374, 1385 (2021), doi:10.1126/science.abj6511. The network gives the
factors of the local density's exchange and of local exact exchange at omega = 0 and 0.4. It was
trained in single precision and reads the spins in their order: it is not symmetric in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import pi

import torch
from torch import Tensor, nn

from xcnet.errors import InstallError
from xcnet.published.readers import tensorflow
from xcnet.published.readers.arrays import Array

NAMES = ("DM21", "DM21m", "DM21mc", "DM21mu")
#: Range separations of local exact exchange, bohr^-1.
OMEGAS = (0.0, 0.4)
WIDTH, BLOCKS, FEATURES, FACTORS = 256, 6, 11, 3
#: Keep the logarithm finite; part of the published form.
SMALL = 1e-9 + 1e-4
LDA = -2.0 * pi * (3.0 / (4.0 * pi)) ** (4.0 / 3.0)
PREFIX = "hub_wrapper/local_functional_v2/"


class Block(nn.Module):
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
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
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
    found = tensorflow.arrays(index, data, source)
    module = DM21()
    _linear(module.squash, found, "SquashUnprocessedData/linear", source)
    _linear(module.output, found, "OutputLayer/linear", source)
    for number, block in enumerate(module.blocks):
        name = f"MLP/ResidualBlock{f'_{number}' if number else ''}"
        _linear(block.linear, found, f"{name}/linear", source)
        block.norm.weight.data = _array(found, f"{name}/layer_norm/gamma", (WIDTH,), source)
        block.norm.bias.data = _array(found, f"{name}/layer_norm/beta", (WIDTH,), source)
    return module.requires_grad_(False).eval()


def _linear(layer: nn.Linear, found: Mapping[str, Array], name: str, source: str) -> None:
    size = (layer.in_features, layer.out_features)
    layer.weight.data = _array(found, f"{name}/w", size, source).T.contiguous()
    layer.bias.data = _array(found, f"{name}/b", size[1:], source)


def _array(found: Mapping[str, Array], name: str, shape: tuple[int, ...], source: str) -> Tensor:
    array = found.get(PREFIX + name)
    if array is None or array.shape != shape:
        given = None if array is None else array.shape
        raise InstallError(f"{source}: {name} has the shape {given}, not {shape}", source=source)
    return torch.from_numpy(array.copy())
