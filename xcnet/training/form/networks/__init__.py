"""Networks: modules that map feature columns to output columns; one module per kind.

A kind is found by the name of its module, which a recipe may give: ``network = "algebraic"``. The
module has ``NETWORK``, a subclass of `network.Network` made by ``NETWORK(widths, generator)``:
numbers of inputs, hidden nodes and outputs, and the source of the initial weights. A ``forward``
is enough; derivatives that training needs are automatic unless the class has faster ones, as
`perceptron.Perceptron` has.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from typing import Any

import torch

from xcnet.errors import InputError
from xcnet.training.form.networks.network import Network


def names() -> list[str]:
    """Kinds of networks."""
    modules = (
        importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)
    )
    return sorted(m.__name__.rpartition(".")[2] for m in modules if hasattr(m, "NETWORK"))


def make(name: str, widths: Sequence[int], generator: torch.Generator) -> Network:
    """Network of a kind with new weights.

    Raises
    ------
    InputError
        There is no such kind.
    """
    if name not in names():
        raise InputError(f"no network {name!r}; there are {', '.join(names())}", given=name)
    made: Network = _module(name).NETWORK(widths, generator)
    return made


def _module(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{name}")
