"""A functional of one point's variables: a small network for exchange, one for correlation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, nn

from xcnet.training.form import networks
from xcnet.training.form.baselines import is_present
from xcnet.training.form.forms import FORMS
from xcnet.training.form.networks.network import Network

#: Spin densities at or below are an empty channel: floor of the functionals of this form.
DENSITY_THRESHOLD = 1e-12


class Semilocal(nn.Module):
    """Functional whose exchange and correlation factors are networks.

    Parameters
    ----------
    form : str
        Name of a form in `xcnet.training.form.forms`.
    hidden : mapping of str to sequence of int
        Hidden widths of the network of each part that has one.
    seed : sequence of int
        Seed of the initial weights.
    kinds : mapping of str to str, optional
        Kind of the network of each part, where it is not the form's.
    """

    def __init__(
        self,
        form: str,
        hidden: Mapping[str, Sequence[int]],
        seed: Sequence[int],
        kinds: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        number = int(np.random.SeedSequence(seed).generate_state(1)[0])
        generator = torch.Generator().manual_seed(number)
        self.form = FORMS[form]
        self.networks = nn.ModuleDict(
            {
                name: networks.make(
                    kinds.get(name, part.network),
                    (part.inputs, *hidden[name], part.outputs),
                    generator,
                )
                for name, part in self.form.networks.items()
            }
        )

    def forward(
        self,
        rho: Tensor,
        sigma: Tensor | None = None,
        tau: Tensor | None = None,
        **descriptors: Tensor,
    ) -> Tensor:
        """Energy per particle (N,), Hartree, of rho (N, 2), sigma (N, 3), tau (N, 2), R (N, 1)."""
        present = [is_present(rho[:, i], rho.sum(1), DENSITY_THRESHOLD) for i in range(2)]
        # Spin factors of correlation have infinite slopes at full polarization: an empty channel's
        # density is not followed there.
        a, b = (torch.where(present[i], rho[:, i], DENSITY_THRESHOLD) for i in range(2))
        whole: list[Tensor] = []
        channels: list[list[Tensor]] = [[a], [b]]
        if sigma is not None:
            whole.append(sigma[:, 0] + 2.0 * sigma[:, 1] + sigma[:, 2])
            channels = [[*channel, sigma[:, 2 * i]] for i, channel in enumerate(channels)]
        if tau is not None:
            whole.append(tau[:, 0] + tau[:, 1])
            channels = [[*channel, tau[:, i]] for i, channel in enumerate(channels)]
        whole += [values[:, 0] for values in descriptors.values()]
        density = self.energy("correlation", self.form.correlation.columns(a, b, *whole))
        if self.form.exchange is None:
            return density / (a + b)
        for i, channel in enumerate(channels):
            exchange = self.energy("exchange", self.form.exchange.columns(*channel))
            density = density + torch.where(present[i], exchange, 0.0)
        return density / (a + b)

    def closed_shell(
        self,
        rho: Tensor,
        sigma: Tensor | None = None,
        tau: Tensor | None = None,
        **descriptors: Tensor,
    ) -> Tensor:
        """The same of a closed shell's totals, all (N, 1), whose channels are present.

        One channel stands for both.
        """
        half = 0.5 * rho[:, 0]
        whole = [x[:, 0] for x in (sigma, tau, *descriptors.values()) if x is not None]
        density = self.energy("correlation", self.form.correlation.columns(half, half, *whole))
        if self.form.exchange is not None:
            channel = [half]
            channel += [0.25 * sigma[:, 0]] if sigma is not None else []
            channel += [0.5 * tau[:, 0]] if tau is not None else []
            exchange = self.energy("exchange", self.form.exchange.columns(*channel))
            density = density + 2.0 * exchange
        return density / rho[:, 0]

    def network(self, part: str) -> Network | None:
        """Network of a part, if it has one."""
        if part not in self.networks:
            return None
        part_network = self.networks[part]
        assert isinstance(part_network, Network)
        return part_network

    def energy(self, part: str, columns: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Energy density (N,) of base + sum_o coefficients[o] network_o(features)."""
        base, coefficients, features = columns
        network = self.network(part)
        return base if network is None else base + (coefficients * network(features)).sum(-1)
