"""Forms of whole functionals, by family; a recipe names one."""

from __future__ import annotations

from dataclasses import dataclass

from xcnet.operators import GridOperator
from xcnet.training.form.features import correlation, exchange, nagai2020
from xcnet.training.form.features.form import PartForm


@dataclass(frozen=True)
class Form:
    """Family and inputs of the record, the form of each part, and the descriptor if it has one.

    ``text`` is what the card says of it, with a place for the hidden widths; ``constraints`` are
    those that hold for any weights and can be measured, for the record.
    Without ``exchange`` one network makes exchange and correlation together: ``correlation``.
    """

    family: str
    inputs: tuple[str, ...]
    exchange: PartForm | None
    correlation: PartForm
    text: str
    constraints: tuple[str, ...] = ()
    descriptor: GridOperator | None = None

    @property
    def networks(self) -> dict[str, PartForm]:
        """Parts that have a network."""
        parts = {"exchange": self.exchange, "correlation": self.correlation}
        return {name: part for name, part in parts.items() if part and part.outputs}


# What cards say.
PARTS = (
    "Exchange: Slater's energy times a factor of each spin channel (exact spin scaling). "
    "Correlation: PW92's energy times a factor."
)
META_GGA = (
    f"{PARTS} The factors are 1 + (1 - v) f1 + b f2 with network outputs f1 and f2 and bounded "
    "measures v of the gradient and b of the kinetic energy density, so the uniform gas is exact."
)
NRA = (
    f"{META_GGA} That of correlation also knows the near-region density R, the density gathered "
    "within a fraction of a bohr, by its bounded contrast to the uniform gas's."
)
GGA = (
    f"{PARTS} The factors are 1 + (1 - v) f with a network output f and a bounded measure v of "
    "the gradient, so the uniform gas is exact."
)
REST = (
    " Hidden layers: {hidden}; activation z/sqrt(1 + z^2). Apart from the spin scaling and the "
    "uniform gas no constraint is built in: others hold as far as the fit does."
)
LDA = (
    "Exchange: Slater's energy (exact spin scaling). Correlation: PW92's energy times a factor. "
    "The factor is 1 + f with a network output f of the spin densities alone, so the uniform gas "
    "is given up. Hidden layers: {hidden}; activation z/sqrt(1 + z^2). Apart from the spin "
    "scaling no constraint is built in: others hold as far as the fit does."
)
NAGAI2020 = (
    "Exchange and correlation together: -n^(4/3) p times a factor, with p the mean of "
    "(1 + z)^(4/3) and (1 - z)^(4/3) of the spin polarization z. The factor is 1 + f with a "
    "network output f > -1 of the logarithms of the density, the spin polarization, the reduced "
    "gradient and the reduced kinetic energy density, the form of R. Nagai et al., npj Comput. "
    "Mater. 6, 43 (2020). It has cusps where the gradient vanishes, and gives up the uniform gas. "
    "Hidden layers: {hidden}; activation ELU. No constraint is built in."
)

MGGA = ("rho", "sigma", "tau")
BUILT_IN = ("uniform_gas", "spin_scaling")
FORMS = {
    "nra": Form(
        "mgga",
        MGGA,
        exchange.META_GGA,
        correlation.NRA,
        NRA + REST,
        ("uniform_gas",),
        correlation.NEAR_REGION,
    ),
    "meta-gga": Form(
        "mgga", MGGA, exchange.META_GGA, correlation.META_GGA, META_GGA + REST, BUILT_IN
    ),
    "gga": Form("gga", ("rho", "sigma"), exchange.GGA, correlation.GGA, GGA + REST, BUILT_IN),
    "nagai2020": Form("mgga", MGGA, None, nagai2020.META_GGA, NAGAI2020),
    "lda": Form("lda", ("rho",), exchange.SLATER_ONLY, correlation.LDA, LDA, ("spin_scaling",)),
}
