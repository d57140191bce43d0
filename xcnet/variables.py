"""libxc's conventions: constants, density variables, labels, component order and widths.

This is the only module that knows them. Everything is derived from two facts: how many
components each variable has, and that a derivative's components are the symmetric products of
the variables' components in lexicographic order (rho2: aa, ab, bb). The descriptors of nonlocal
functionals (`xcnet.operators`) are variables like libxc's own.
Source: libxc, S. Lehtola et al., SoftwareX 7, 1 (2018), doi:10.1016/j.softx.2017.11.002.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations_with_replacement, product
from math import factorial, prod
from types import MappingProxyType

from xcnet import operators

UNPOLARIZED = 1
POLARIZED = 2

KINDS: Mapping[str, int] = MappingProxyType(
    {"exchange": 0, "correlation": 1, "exchange-correlation": 2, "kinetic": 3}
)
FAMILY_LDA, FAMILY_GGA, FAMILY_MGGA, FAMILY_LCA, FAMILY_OEP = 1, 2, 4, 8, 16
FAMILY_HYB_GGA, FAMILY_HYB_MGGA, FAMILY_HYB_LDA = 32, 64, 128
FAMILIES: Mapping[str, int] = MappingProxyType(
    {
        "lda": FAMILY_LDA,
        "gga": FAMILY_GGA,
        "mgga": FAMILY_MGGA,
        "lca": FAMILY_LCA,
        "oep": FAMILY_OEP,
        "hyb_gga": FAMILY_HYB_GGA,
        "hyb_mgga": FAMILY_HYB_MGGA,
        "hyb_lda": FAMILY_HYB_LDA,
    }
)

FLAG_HAVE = (1, 2, 4, 8, 16)  # exc, vxc, fxc, kxc, lxc: index is the derivative order
FLAG_1D, FLAG_2D, FLAG_3D = 32, 64, 128
FLAG_HYB_CAM, FLAG_HYB_CAMY, FLAG_VV10, FLAG_HYB_LC, FLAG_HYB_LCY = 256, 512, 1024, 2048, 4096
FLAG_STABLE, FLAG_DEVELOPMENT = 8192, 16384
FLAG_NEEDS_LAPLACIAN, FLAG_NEEDS_TAU, FLAG_ENFORCE_FHC = 32768, 65536, 131072

ORDERS = ("exc", "vxc", "fxc", "kxc", "lxc")

#: Components of each density variable for (unpolarized, polarized) densities.
COMPONENTS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"rho": (1, 2), "sigma": (1, 3), "lapl": (1, 2), "tau": (1, 2)}
)
#: Value of one spin-resolved component when the closed-shell total is 1.
CLOSED_SHELL_SHARE: Mapping[str, float] = MappingProxyType(
    {"rho": 0.5, "sigma": 0.25, "lapl": 0.5, "tau": 0.5}
)
#: Spin channels that a component belongs to, by the number of components of its variable.
CHANNELS: Mapping[int, tuple[tuple[int, ...], ...]] = MappingProxyType(
    {2: ((0,), (1,)), 3: ((0,), (0, 1), (1,))}
)
FAMILY_VARIABLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"lda": ("rho",), "gga": ("rho", "sigma"), "mgga": ("rho", "sigma", "tau")}
)


def base_family(family: str) -> str:
    """Family without the ``hyb_`` prefix: the one that decides the variables."""
    return family.removeprefix("hyb_")


def family_variables(family: str, laplacian: bool = False) -> tuple[str, ...]:
    """Density variables of a family in libxc's order (rho, sigma, lapl, tau)."""
    variables = FAMILY_VARIABLES[base_family(family)]
    if laplacian:
        return (*variables[:2], "lapl", *variables[2:])
    return variables


def is_descriptor(name: str) -> bool:
    """Whether a variable is a nonlocal descriptor of the density."""
    return name in operators.known()


def sizes(name: str) -> tuple[int, int]:
    """Components of a variable for (unpolarized, polarized) densities; KeyError for no variable."""
    if name in COMPONENTS:
        return COMPONENTS[name]
    descriptor = operators.known()[name]
    return descriptor.width, descriptor.width * (2 if descriptor.spin_resolved else 1)


def closed_shell_share(name: str) -> float:
    """Value of one spin-resolved component of a variable when the closed-shell total is 1."""
    unpolarized, polarized = sizes(name)
    return CLOSED_SHELL_SHARE.get(name, unpolarized / polarized)


def spin_channels(name: str) -> tuple[tuple[int, ...], ...]:
    """Spin channels (0, 1) that each polarized component of a variable belongs to.

    sigma_ab belongs to both; descriptors of the total density to none.
    """
    unpolarized, polarized = sizes(name)
    if name in COMPONENTS:
        return CHANNELS[polarized]
    if unpolarized == polarized:
        return ((),) * polarized
    return ((0,),) * unpolarized + ((1,),) * unpolarized


def swapped(name: str) -> tuple[int, ...]:
    """Polarized component of a variable that each becomes when the spins are swapped."""
    unpolarized, polarized = sizes(name)
    if name in COMPONENTS:
        return tuple(reversed(range(polarized)))
    return tuple((i + polarized - unpolarized) % polarized for i in range(polarized))


@cache
def labels(variables: tuple[str, ...], order: int) -> tuple[str, ...]:
    """Output labels of one derivative order, in libxc's order.

    ``labels(("rho", "sigma"), 2) == ("v2rho2", "v2rhosigma", "v2sigma2")``; order 0 is ``zk``.
    """
    if order == 0:
        return ("zk",)
    prefix = "v" if order == 1 else f"v{order}"
    return tuple(
        prefix + "".join(name + (str(n) if n > 1 else "") for name, n in Counter(combo).items())
        for combo in combinations_with_replacement(variables, order)
    )


@cache
def orders(variables: tuple[str, ...]) -> Mapping[str, int]:
    """Derivative order of every label."""
    return MappingProxyType(
        {label: order for order in range(len(ORDERS)) for label in labels(variables, order)}
    )


@cache
def powers(label: str) -> tuple[tuple[str, int], ...]:
    """Variables and their powers in a label: ``v2rhosigma`` -> ``(("rho", 1), ("sigma", 1))``."""
    if label == "zk":
        return ()
    rest = label[1:].lstrip("234")
    names = sorted([*COMPONENTS, *operators.known()], key=len, reverse=True)
    factors = []
    while rest:
        name = next((v for v in names if rest.startswith(v)), None)
        if name is None:
            raise ValueError(f"{label!r} is not an output label")
        rest = rest[len(name) :]
        digits = rest[: len(rest) - len(rest.lstrip("234"))]
        rest = rest[len(digits) :]
        factors.append((name, int(digits or 1)))
    return tuple(factors)


@cache
def components(label: str, spin: int) -> tuple[tuple[tuple[str, int], ...], ...]:
    """Every component of a label as its (variable, index) factors, in libxc's order.

    ``components("v2rho2", 2)`` is ``((rho 0, rho 0), (rho 0, rho 1), (rho 1, rho 1))``.
    """
    factors = [
        [
            tuple((name, i) for i in combo)
            for combo in combinations_with_replacement(range(sizes(name)[spin - 1]), n)
        ]
        for name, n in powers(label)
    ]
    return tuple(tuple(f for group in groups for f in group) for groups in product(*factors))


def width(name: str, spin: int) -> int:
    """Number of components of an input variable or an output label."""
    if name in COMPONENTS or is_descriptor(name):
        return sizes(name)[spin - 1]
    return len(components(name, spin))


@cache
def fold_weights(label: str) -> tuple[tuple[float, ...], ...]:
    """Weights that contract a polarized output at a closed-shell density to the unpolarized one.

    One row for each unpolarized component; libxc's variables have one. The chain rule of
    rho_s = rho/2, sigma_xy = sigma/4, tau_s = tau/2: each component counts with the number of
    index permutations it stands for times the shares of its factors.
    """
    rows = components(label, UNPOLARIZED)
    result = [[0.0] * len(components(label, POLARIZED)) for _ in rows]
    for column, factors in enumerate(components(label, POLARIZED)):
        # Components of a descriptor come spin by spin, those of a closed shell once.
        folded = [(name, i % sizes(name)[0]) for name, i in factors]
        target = tuple(
            sorted(folded, key=lambda f: ([name for name, _ in folded].index(f[0]), f[1]))
        )
        weight = _permutations(label, factors) / _permutations(label, target)
        share = prod(closed_shell_share(name) for name, _ in factors)
        result[rows.index(target)][column] = weight * share
    return tuple(tuple(row) for row in result)


def _permutations(label: str, factors: Sequence[tuple[str, int]]) -> int:
    """Number of ordered products of components that a component of a label stands for."""
    result = 1
    for name, power in powers(label):
        counts = Counter(i for n, i in factors if n == name)
        result *= factorial(power) // prod(factorial(c) for c in counts.values())
    return result


@cache
def channel_columns(label: str, spin: int) -> tuple[int, ...]:
    """Columns of a polarized output that are derivatives by variables of one spin channel (0, 1).

    sigma_ab belongs to both channels; energies and descriptors of the total density to none.
    """
    return tuple(
        column
        for column, factors in enumerate(components(label, POLARIZED))
        if any(spin in spin_channels(name)[i] for name, i in factors)
    )


def requested_labels(variables: tuple[str, ...], flags: Sequence[bool]) -> Iterator[str]:
    """Labels of the orders whose flag is set, in libxc's order."""
    for order, wanted in enumerate(flags):
        if wanted:
            yield from labels(variables, order)
