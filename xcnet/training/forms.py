"""Forms of whole functionals, by family; a recipe names one."""

from __future__ import annotations

from dataclasses import dataclass

from xcnet.spec import NearRegion
from xcnet.training.features import correlation, exchange, nagai2020
from xcnet.training.features.form import PartForm


@dataclass(frozen=True)
class Form:
    """Family and inputs of the record, the form of each part, and the descriptor if it has one.

    Without ``exchange`` one network makes exchange and correlation together: ``correlation``.
    """

    family: str
    inputs: tuple[str, ...]
    exchange: PartForm | None
    correlation: PartForm
    near_region: NearRegion | None = None

    @property
    def networks(self) -> dict[str, PartForm]:
        """Parts that have a network."""
        parts = {"exchange": self.exchange, "correlation": self.correlation}
        return {name: part for name, part in parts.items() if part and part.outputs}


MGGA = ("rho", "sigma", "tau")
FORMS = {
    "nra": Form("mgga", MGGA, exchange.META_GGA, correlation.NRA, correlation.NEAR_REGION),
    "meta-gga": Form("mgga", MGGA, exchange.META_GGA, correlation.META_GGA),
    "gga": Form("gga", ("rho", "sigma"), exchange.GGA, correlation.GGA),
    "nagai2020": Form("mgga", MGGA, None, nagai2020.META_GGA),
    "lda": Form("lda", ("rho",), exchange.SLATER_ONLY, correlation.LDA),
}
