"""Skala-1.0: a network of the density with a learned linear operator around the atoms inside.

G. Luise et al., arXiv:2506.14665 (2025), doi:10.48550/arXiv.2506.14665. Two pointwise parts stand
around the operator: `Before` makes 16 channels of the density, which the operator, linear and
fixed by grid and atoms, carries to 16 channels, and `After` makes the energy of them and the
density. All spin dependence is symmetric by construction.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import pi

import numpy as np
import torch
from torch import Tensor, nn

from xcnet.errors import InstallError
from xcnet.published.readers import arrays
from xcnet.published.readers.arrays import Array

WIDTH, CHANNELS = 256, 16
#: Multipoles l = 0 to 3.
DEGREES = 4
#: Keeps the logarithm finite; part of the published form.
SMALL = 1e-5
LDA = -2.0 * pi * (3.0 / (4.0 * pi)) ** (4.0 / 3.0)


def dense(inputs: int, outputs: int) -> nn.Linear:
    """Layer in float64."""
    return nn.Linear(inputs, outputs, dtype=torch.float64)


class Hidden(nn.Module):
    """Features of a point (N, 256), the mean over both orders of the spins."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = dense(7, WIDTH), dense(WIDTH, WIDTH)

    def forward(self, rho: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
        """Return (N, 256); inputs in libxc's layout, spin resolved (N, k)."""
        orders = ((0, 1), (1, 0))
        both = [self.network(rho[:, o], sigma, tau[:, o], o) for o in orders]
        return 0.5 * (both[0] + both[1])

    def network(self, rho: Tensor, sigma: Tensor, tau: Tensor, order: tuple[int, int]) -> Tensor:
        """Network of the spins in one order."""
        total = sigma[:, 0] + 2.0 * sigma[:, 1] + sigma[:, 2]
        same = sigma[:, [2 * spin for spin in order]]
        x = torch.log(torch.abs(torch.cat([rho, same, tau, total[:, None]], 1)) + SMALL)
        silu = nn.functional.silu
        return silu(self.second(silu(self.first(x))))

    def closed_shell(self, rho: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
        """Return (N, 256); inputs are those of both spins together (N, 1)."""
        half, quarter = 0.5 * rho, 0.25 * sigma
        spins = (half.expand(-1, 2), quarter.expand(-1, 3), (0.5 * tau).expand(-1, 2))
        return self.network(*spins, (0, 1))


class Before(nn.Module):
    """Channels (N, 16) that go into the operator."""

    def __init__(self, hidden: Hidden) -> None:
        super().__init__()
        self.hidden, self.down = hidden, dense(WIDTH, CHANNELS)

    def forward(self, rho: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
        """Return (N, 16); inputs in libxc's layout, spin resolved (N, k)."""
        return nn.functional.silu(self.down(self.hidden(rho, sigma, tau)))

    def closed_shell(self, rho: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
        """Return (N, 16); inputs are those of both spins together (N, 1)."""
        return nn.functional.silu(self.down(self.hidden.closed_shell(rho, sigma, tau)))


class After(nn.Module):
    """Energy per particle, Hartree, of the density and of what the operator gives."""

    def __init__(self, hidden: Hidden) -> None:
        super().__init__()
        self.hidden, self.up = hidden, dense(CHANNELS, CHANNELS)
        sizes = ((WIDTH + CHANNELS, WIDTH), (WIDTH, WIDTH), (WIDTH, WIDTH), (WIDTH, 1))
        self.output = nn.ModuleList(dense(*size) for size in sizes)

    def forward(self, rho: Tensor, sigma: Tensor, tau: Tensor, multipoles: Tensor) -> Tensor:
        """Return (N,); ``multipoles`` (N, 16), the others in libxc's layout, spin resolved."""
        energy = self._energy(self.hidden(rho, sigma, tau), multipoles, rho.sum(1, keepdim=True))
        return energy * LDA * (rho ** (4.0 / 3.0)).sum(1) / rho.sum(1)

    def closed_shell(self, rho: Tensor, sigma: Tensor, tau: Tensor, multipoles: Tensor) -> Tensor:
        """Return (N,); inputs but ``multipoles`` are those of both spins together (N, 1)."""
        energy = self._energy(self.hidden.closed_shell(rho, sigma, tau), multipoles, rho)
        return energy * (LDA * 2.0 ** (-1.0 / 3.0)) * rho[:, 0] ** (1.0 / 3.0)

    def _energy(self, hidden: Tensor, multipoles: Tensor, n: Tensor) -> Tensor:
        """Factor of the local density's exchange (N,)."""
        silu = nn.functional.silu
        x = torch.cat([hidden, silu(self.up(multipoles)) * torch.exp(-n)], 1)
        *layers, last = self.output
        for layer in layers:
            x = silu(layer(x))
        return 2.0 * torch.sigmoid(0.5 * last(x)[:, 0])


def load(data: bytes, source: str) -> tuple[Before, After, dict[str, Array]]:
    """Both pointwise parts with the authors' weights, and the operator's arrays (InstallError).

    The arrays are ``down`` and ``up``, (4, 16, 16) each: for each l the channels' mixing before
    and after the multipoles, [l, c, v].
    """
    parameters = arrays.npz(data, source)
    before = Before(hidden := Hidden())
    after = After(hidden)
    layers = {
        "input_model.0": hidden.first,
        "input_model.2": hidden.second,
        "non_local_model.pre_down_layer.0": before.down,
        "non_local_model.post_up_layer.0": after.up,
        **{f"output_model.{2 * i}": layer for i, layer in enumerate(after.output)},
    }
    for name, layer in layers.items():
        for key, parameter in layer.named_parameters():
            value = _array(parameters, f"{name}.{key}", tuple(parameter.shape), source)
            parameter.data = torch.from_numpy(value.copy())
    shape = (CHANNELS, 1, CHANNELS)
    forms = {"down": "weight_0_{0}_{0}", "up": "weight_{0}_{0}_0"}
    mixing = {
        way: np.concatenate(
            [
                _array(parameters, f"non_local_model.tp_{way}.{form.format(degree)}", shape, source)
                for degree in range(DEGREES)
            ],
            axis=1,
        ).transpose(1, 0, 2)
        for way, form in forms.items()
    }
    for module in (before, after):
        module.requires_grad_(False).eval()
    return before, after, mixing


def _array(found: Mapping[str, Array], name: str, shape: tuple[int, ...], source: str) -> Array:
    given = found[name].shape if name in found else None
    if given != shape:
        raise InstallError(f"{source}: {name} has the shape {given}, not {shape}", source=source)
    return found[name]
