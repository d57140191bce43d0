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

from xcnet.catalogue import Collection
from xcnet.errors import InstallError
from xcnet.published import functional
from xcnet.published.functional import Published
from xcnet.published.readers import arrays
from xcnet.published.readers.arrays import Array

WIDTH, CHANNELS = 256, 16
#: Multipoles l = 0 to 3.
DEGREES = 4
#: Keeps the logarithm finite; part of the published form.
SMALL = 1e-5
LDA = -2.0 * pi * (3.0 / (4.0 * pi)) ** (4.0 / 3.0)
#: Of the operator: cut-off, and widths of the radial functions, stated in angstrom.
DESCRIPTOR = "atomic_multipoles"
CUTOFF, ANGSTROM = 5.0, 1.88973
WIDTHS = np.linspace(0.32 * ANGSTROM / 2.0, 2.32 * ANGSTROM / 2.0, CHANNELS)
#: D3(BJ) of B3LYP, S. Grimme et al., doi:10.1002/jcc.21759, which the authors add.
DISPERSION = {"method": "D3BJ", "parameters": {"s8": 1.9889, "a1": 0.3981, "a2": 4.4211}}
CITATION = {
    "key": "Luise2025_14665",
    "text": "G. Luise et al., arXiv:2506.14665 (2025)",
    "doi": "10.48550/arXiv.2506.14665",
    "bibtex": (
        "@article{Luise2025_14665,\n"
        "  title = {Accurate and scalable exchange-correlation with deep learning},\n"
        "  author = {Luise, Giulia and others},\n"
        "  journal = {arXiv preprint arXiv:2506.14665},\n"
        "  year = {2025},\n"
        "  doi = {10.48550/arXiv.2506.14665}\n"
        "}"
    ),
}
CARD = """# Skala-1.0

The learned functional of G. Luise et al., arXiv:2506.14665 (2025), doi:10.48550/arXiv.2506.14665:
local exchange times a factor of a network, which sees the density and, through multipoles around
the atoms, its surroundings up to 10 bohr away. {origin}

- Trained by its authors on very many accurate energies of main-group molecules.
- Its energies belong with D3(BJ) and the parameters of B3LYP: add the suffix -D3BJ to the name.
- The authors state WTMAD-2 of GMTKN55 3.89 kcal/mol, and about 1 kcal/mol for W4-17.
- Every centre of the grid has multipoles: a ghost atom changes the energy by more than its basis.
- Networks of 256 nodes: some fifty times a meta-GGA's cost at a point.
"""


def dense(inputs: int, outputs: int) -> nn.Linear:
    """Layer in float64."""
    return nn.Linear(inputs, outputs, dtype=torch.float64)


class Hidden(nn.Module):
    """Second layer of the first network before its activation, for both orders of the spins."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = dense(7, WIDTH), dense(WIDTH, WIDTH)

    def forward(self, rho: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
        """Return (N, 512); inputs in libxc's layout, spin resolved (N, k)."""
        orders = ((0, 1), (1, 0))
        return torch.cat([self.network(rho[:, o], sigma, tau[:, o], o) for o in orders], 1)

    def network(self, rho: Tensor, sigma: Tensor, tau: Tensor, order: tuple[int, int]) -> Tensor:
        """Network of the spins in one order."""
        total = sigma[:, 0] + 2.0 * sigma[:, 1] + sigma[:, 2]
        same = sigma[:, [2 * spin for spin in order]]
        x = torch.log(torch.abs(torch.cat([rho, same, tau, total[:, None]], 1)) + SMALL)
        return self.second(nn.functional.silu(self.first(x)))

    def closed_shell(self, rho: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
        """Return (N, 256); inputs are those of both spins together (N, 1)."""
        half, quarter = 0.5 * rho, 0.25 * sigma
        spins = (half.expand(-1, 2), quarter.expand(-1, 3), (0.5 * tau).expand(-1, 2))
        return self.network(*spins, (0, 1))


def features(hidden: Tensor) -> Tensor:
    """Features of a point (N, 256), the mean over the orders of the spins."""
    values = [nn.functional.silu(part) for part in hidden.split(WIDTH, 1)]
    return values[0] if len(values) == 1 else 0.5 * (values[0] + values[1])


class Before(nn.Module):
    """Channels (N, 16) that go into the operator."""

    def __init__(self, hidden: Hidden) -> None:
        super().__init__()
        self.hidden, self.down = hidden, dense(WIDTH, CHANNELS)

    def forward(self, rho: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
        """Return (N, 16); inputs in libxc's layout, spin resolved (N, k)."""
        return nn.functional.silu(self.down(features(self.hidden(rho, sigma, tau))))

    def closed_shell(self, rho: Tensor, sigma: Tensor, tau: Tensor) -> Tensor:
        """Return (N, 16); inputs are those of both spins together (N, 1)."""
        return nn.functional.silu(self.down(features(self.hidden.closed_shell(rho, sigma, tau))))


class After(nn.Module):
    """Energy per particle, Hartree, of the density and of what the operator gives."""

    def __init__(self, hidden: Hidden) -> None:
        super().__init__()
        self.hidden, self.up = hidden, dense(CHANNELS, CHANNELS)
        sizes = ((WIDTH + CHANNELS, WIDTH), (WIDTH, WIDTH), (WIDTH, WIDTH), (WIDTH, 1))
        self.output = nn.ModuleList(dense(*size) for size in sizes)

    def forward(self, rho: Tensor, sigma: Tensor, tau: Tensor, atomic_multipoles: Tensor) -> Tensor:
        """Return (N,); ``atomic_multipoles`` (N, 16), others in libxc's layout, spin resolved."""
        energy = self._energy(
            self.hidden(rho, sigma, tau), atomic_multipoles, rho.sum(1, keepdim=True)
        )
        return energy * LDA * (rho ** (4.0 / 3.0)).sum(1) / rho.sum(1)

    def closed_shell(
        self, rho: Tensor, sigma: Tensor, tau: Tensor, atomic_multipoles: Tensor
    ) -> Tensor:
        """Return (N,); inputs but ``atomic_multipoles`` are those of both spins together (N, 1)."""
        energy = self._energy(self.hidden.closed_shell(rho, sigma, tau), atomic_multipoles, rho)
        return energy * (LDA * 2.0 ** (-1.0 / 3.0)) * rho[:, 0] ** (1.0 / 3.0)

    def _energy(self, hidden: Tensor, multipoles: Tensor, n: Tensor) -> Tensor:
        """Factor of the local density's exchange (N,)."""
        silu = nn.functional.silu
        x = torch.cat([features(hidden), silu(self.up(multipoles)) * torch.exp(-n)], 1)
        *layers, last = self.output
        for layer in layers:
            x = silu(layer(x))
        # 2 sigmoid(y/2), which a run time may compute as 1 minus nearly 1 where it is small.
        return 2.0 * torch.exp(-nn.functional.softplus(-0.5 * last(x)[:, 0], threshold=40.0))


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


def functionals(collection: Collection, files: Mapping[str, bytes]) -> list[Published]:
    """The functional with its record, for `xcnet.published.conversion`."""
    name = "skala_weights.npz"
    before, after, mixing = load(files[name], name)
    operator = {
        "cutoff_bohr": CUTOFF,
        "widths_bohr": WIDTHS.tolist(),
        **{way: matrices.tolist() for way, matrices in mixing.items()},
    }
    record = functional.record(
        collection,
        name="mgga_xc_skala_1_0",
        aliases=["Skala-1.0"],
        id=100131,
        description=(
            "Luise et al.'s published neural network of the density and of multipoles around atoms"
        ),
        descriptors={DESCRIPTOR: operator},
        dispersion=DISPERSION,
        training={"protocol": "by the authors, on accurate energies"},
        domain={"elements": [], "density": [SMALL, 1e4]},
        citations=[CITATION],
    )
    card = CARD.format(origin=functional.origin(collection))
    return [Published(after, record, card, ("exc", "vxc"), before, before.hidden)]


def _array(
    parameters: Mapping[str, Array], name: str, shape: tuple[int, ...], source: str
) -> Array:
    size = parameters[name].shape if name in parameters else None
    if size != shape:
        raise InstallError(f"{source}: {name} has the shape {size}, not {shape}", source=source)
    return parameters[name]
