"""What a module of features offers: one part of a functional as a form with free factors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from xcnet.training.mesh import Axis


@dataclass(frozen=True)
class PartForm:
    """Energy density ``base + sum_o coefficients[o] f_o(features)`` with network outputs f.

    Parameters
    ----------
    inputs, outputs : int
        Numbers of features and of factors. A part without factors has no network.
    columns : function
        Density variables -> base (N,), coefficients (N, outputs), features (N, inputs).
    axes : tuple of Axis
        Features that span the mesh of `xcnet.training.mesh`; the others follow from them.
    at : function
        Values of the axes' features, (N,) each -> density variables (N, k) that have them.
    """

    inputs: int
    outputs: int
    columns: Callable[..., tuple[Tensor, Tensor, Tensor]]
    axes: tuple[Axis, ...]
    at: Callable[..., npt.NDArray[np.float64]]
