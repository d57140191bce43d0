"""A published functional before its export, and what records of such functionals share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from xcnet import variables
from xcnet.catalogue import Collection


@dataclass(frozen=True)
class Published:
    """Torch module, record without what the exporter adds, card, and derivative orders.

    ``channels`` makes what the grid operator of the record acts on; ``hidden`` is what it and the
    energy begin with.
    """

    module: nn.Module
    record: Mapping[str, Any]
    card: str
    orders: Sequence[str] = variables.ORDERS[:4]
    channels: nn.Module | None = None
    hidden: nn.Module | None = None


#: Of the density variables, where the authors state none.
THRESHOLDS = {"density": 1e-12, "zeta": 2.2e-16, "sigma": 1e-16, "tau": 1e-20}


def record(collection: Collection, **facts: Any) -> dict[str, Any]:
    """Record of a functional: the given facts, and what most published meta-GGAs share."""
    common = {
        "format_version": 1,
        "family": "mgga",
        "kind": "exchange-correlation",
        "inputs": ["rho", "sigma", "tau"],
        "descriptors": {},
        "thresholds": THRESHOLDS,
        "enforce_fhc": False,
        "exact_exchange": {"coefficient": 0.0, "omega": 0.0, "alpha": 0.0, "beta": 0.0},
        "dispersion": None,
        "grid_level": 3,
        "license": collection.license,
    }
    full = {**common, **facts}
    full["training"] = {**facts["training"], "source": collection.source}
    return full


def origin(collection: Collection) -> str:
    """Where the weights are from, for cards."""
    source = collection.source
    return (
        f"Converted from the authors' files of {source['repository']} at commit "
        f"{source['commit']} (licence {collection.license}; its text lies in this folder)."
    )
