"""What a module of features offers: one part of a functional as a form with free factors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class PartForm:
    """Energy density ``base + sum_o coefficients[o] f_o(features)`` with network outputs f.

    Parameters
    ----------
    inputs, outputs : int
        Numbers of features and of factors. A part without factors has no network.
    columns : function
        Density variables -> base (N,), coefficients (N, outputs), features (N, inputs).
    network : str
        Kind of network, see `xcnet.training.form.networks`, where a recipe names no other.
    """

    inputs: int
    outputs: int
    columns: Callable[..., tuple[Tensor, Tensor, Tensor]]
    network: str = "algebraic"
