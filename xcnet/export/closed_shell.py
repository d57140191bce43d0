"""Functionals of the totals of closed shells, from those of spin-resolved variables."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from xcnet import variables


class ClosedShell(torch.nn.Module):
    """A functional of totals, all ``(N, 1)`` but descriptors.

    Parameters
    ----------
    module : torch.nn.Module
        Functional of spin-resolved variables.
    own : function, optional
        What the module itself offers for totals; by default it is called with two equal spins.
    """

    def __init__(self, module: Callable[..., Tensor], own: Callable[..., Tensor] | None) -> None:
        super().__init__()
        self.module, self.own = module, own

    def forward(self, **totals: Tensor) -> Tensor:
        """Energy per particle."""
        if self.own is not None:
            return self.own(**totals)
        spins = {}
        for name, total in totals.items():
            unpolarized, polarized = variables.sizes(name)
            share = variables.closed_shell_share(name) * total
            copies = polarized // unpolarized
            spins[name] = (
                share.expand(-1, polarized) if unpolarized == 1 else torch.cat([share] * copies, 1)
            )
        return self.module(**spins)
