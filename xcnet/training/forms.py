"""Forms of whole functionals, by family; a recipe names one."""

from __future__ import annotations

from dataclasses import dataclass

from xcnet.training.features import correlation, exchange
from xcnet.training.features.form import PartForm


@dataclass(frozen=True)
class Form:
    """Family and inputs of the record, and the form of each part."""

    family: str
    inputs: tuple[str, ...]
    exchange: PartForm
    correlation: PartForm

    @property
    def networks(self) -> dict[str, PartForm]:
        """Parts that have a network."""
        parts = {"exchange": self.exchange, "correlation": self.correlation}
        return {name: part for name, part in parts.items() if part.outputs}


FORMS = {
    "meta-gga": Form("mgga", ("rho", "sigma", "tau"), exchange.META_GGA, correlation.META_GGA),
    "gga": Form("gga", ("rho", "sigma"), exchange.GGA, correlation.GGA),
    "lda": Form("lda", ("rho",), exchange.SLATER_ONLY, correlation.LDA),
}
