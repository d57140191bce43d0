"""`LibXCFunctional` against libxc itself, called directly: the contract of pylibxc.

Every family, spin, derivative order and subset of the ``do_*`` flags; random densities, densities
that no electrons have, and those of atoms. Values must be libxc's to the last bit. The neural
clones in tests/models go through the same tests, except that their values are compared with each
other (their agreement with libxc is tested where they are exported).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.folders import MODELS
from tests.libxc_oracle import ORDERS, OUTPUTS, Oracle, densities, width
from xcnet import LibXCFunctional, libxc, registry

Array = NDArray[np.float64]

#: By family, spin-independent features and available orders: what is special about each.
LIBXC = [
    "lda_x",
    "lda_c_pw",
    "lda_xc_tih",  # no energy, only potentials
    "lda_k_tf",
    "lda_x_2d",
    "hyb_lda_xc_lda0",
    "gga_x_pbe",
    "gga_c_lyp",
    "gga_x_lb",  # no energy
    "gga_k_lc94",
    "hyb_gga_xc_b3lyp",  # a mixture inside libxc
    "hyb_gga_xc_cam_b3lyp",  # range separation
    "hyb_gga_xc_wb97x_v",  # VV10
    "mgga_x_r2scan",
    "mgga_c_m06_l",
    "mgga_x_br89",  # Laplacian and tau
    "mgga_x_tb09",  # Laplacian and tau, no energy
    "mgga_k_pc07",  # Laplacian, no tau
    "hyb_mgga_xc_tpssh",
    "hyb_mgga_x_m06_2x",
]
CLONES = sorted(folder.name for folder in MODELS.glob("*_clone")) if MODELS.is_dir() else []
FLAGS = ("do_exc", "do_vxc", "do_fxc", "do_kxc")
SUBSETS = [dict(zip(FLAGS, wanted, strict=True)) for wanted in product([False, True], repeat=4)]


@pytest.fixture(autouse=True)
def _clones_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XCNET_MODEL_PATH", str(MODELS))


def oracle(name: str, spin: int) -> closing[Oracle]:
    return closing(Oracle(libxc.library().path, libxc.names()[name], spin))


def expected(name: str, spin: int, inputs: dict[str, Array], orders: list[str]) -> dict[str, Array]:
    with oracle(name, spin) as functional:
        outputs: dict[str, Array] = {}
        for order in orders:
            outputs |= functional.compute(inputs, order)
    return outputs


def keys(name: str, orders: list[str]) -> list[str]:
    """Labels in order for a functional that is not libxc's; the clones need no Laplacian."""
    base = name.removeprefix("hyb_").split("_")[0]
    labels = [label for order in orders for label in OUTPUTS[base, order].split()]
    return [label for label in labels if "lapl" not in label]


def assert_equal(given: dict[str, Array], wanted: dict[str, Array], context: str = "") -> None:
    assert list(given) == list(wanted), context
    for label, values in given.items():
        assert values.dtype == np.float64, label
        np.testing.assert_array_equal(values, wanted[label], f"{context} {label}")


def needed(functional: LibXCFunctional, inputs: dict[str, Array]) -> dict[str, Array]:
    return {label: inputs[label] for label in inputs if label in functional.inputs}


# -- every family x spin x order x subset of flags -------------------------------------------------


@pytest.mark.parametrize("spin", [1, 2])
@pytest.mark.parametrize("name", LIBXC)
def test_flags(name: str, spin: int) -> None:
    inputs = densities(11, spin, seed=10)
    functional = LibXCFunctional(name, spin)
    with oracle(name, spin) as direct:
        available = direct.orders
    for flags in SUBSETS:
        orders = [order for order in ORDERS if flags[f"do_{order}"]]
        missing = [order for order in orders if order not in available]
        if missing:
            with pytest.raises(ValueError, match=missing[0]):
                functional.compute(inputs, **flags)
            continue
        result = functional.compute(inputs, **flags)
        assert_equal(result, expected(name, spin, inputs, orders), f"{name} {spin} {orders}")
        for label, values in result.items():
            assert values.shape == (11, width(label, spin))
            assert values.flags.c_contiguous
            assert values.flags.writeable


@pytest.mark.parametrize("spin", [1, 2])
@pytest.mark.parametrize("name", CLONES)
def test_flags_of_neural_functionals(name: str, spin: int) -> None:
    inputs = densities(11, spin, seed=10)
    functional = LibXCFunctional(name, spin)
    available = [order for order in ORDERS if getattr(functional, f"_have_{order}")]
    assert available[:3] == ["exc", "vxc", "fxc"]
    every = functional.compute(inputs, **{f"do_{order}": True for order in available})
    for flags in SUBSETS:
        orders = [order for order in ORDERS if flags[f"do_{order}"]]
        missing = [order for order in orders if order not in available]
        if missing:
            with pytest.raises(ValueError, match=missing[0]):
                functional.compute(inputs, **flags)
            continue
        result = functional.compute(inputs, **flags)
        assert list(result) == keys(name, orders)
        for label, values in result.items():
            assert values.shape == (11, width(label, spin))
            assert values.dtype == np.float64
            # Each order has a graph of its own: the same expressions, other rounding.
            scale = np.abs(every[label]).max()
            np.testing.assert_allclose(values, every[label], rtol=1e-11, atol=1e-13 * scale)


@pytest.mark.parametrize("spin", [1, 2])
def test_every_functional_of_libxc(spin: int) -> None:
    inputs = densities(5, spin, seed=11)
    for name in libxc.names():
        functional = LibXCFunctional(name, spin)
        with oracle(name, spin) as direct:
            orders = direct.orders
            assert functional.get_flags() == direct.flags, name
            assert functional.get_family() == direct.family, name
            assert functional.get_kind() == direct.kind, name
            assert functional.get_name() == direct.name, name
        flags = {f"do_{order}": order in orders for order in ORDERS}
        assert_equal(
            functional.compute(inputs, **flags), expected(name, spin, inputs, orders), name
        )


def test_default_flags_are_energy_and_potential() -> None:
    assert list(LibXCFunctional("gga_x_pbe", 1).compute(densities(2, 1, 0))) == [
        "zk",
        "vrho",
        "vsigma",
    ]


def test_fourth_derivatives_only_where_the_build_has_them() -> None:
    functional = LibXCFunctional("lda_x", 1)
    rho = np.array([0.5])
    if not functional._have_lxc:
        with pytest.raises(ValueError, match="lxc"):
            functional.compute(rho, do_lxc=True)
        return
    # Slater exchange: n*zk = -C n^(4/3), fourth derivative -C 4/3 1/3 (-2/3) (-5/3) n^(-8/3).
    c = 0.75 * (3 / np.pi) ** (1 / 3)
    fourth = functional.compute(rho, do_lxc=True)["v4rho4"].item()
    assert fourth == pytest.approx(-c * 40 / 81 * 0.5 ** (-8 / 3))


# -- densities that electrons have and that they do not --------------------------------------------

_SIZES = [0.0, 1e-300, 1e-20, 1e-13, 1e-9, 1e-5, 1e-3, 0.1, 0.3, 1.0, 7.0, 300.0]
_POSITIVE = st.sampled_from(_SIZES) | st.floats(1e-14, 1e3)
_SIGNED = _POSITIVE | _POSITIVE.map(lambda x: -x)


class Case(NamedTuple):
    name: str
    spin: int
    inputs: dict[str, Array]


@st.composite
def cases(draw: st.DrawFn, names: list[str]) -> Case:
    """A functional and a few points of any values, negative ones included."""
    name, spin = draw(st.sampled_from(names)), draw(st.sampled_from([1, 2]))
    points = draw(st.integers(1, 4))
    inputs = {}
    for label, values in (
        ("rho", _SIGNED),
        ("sigma", _SIGNED),
        ("lapl", _SIGNED),
        ("tau", _POSITIVE),
    ):
        size = points * width(label, spin)
        column = draw(st.lists(values, min_size=size, max_size=size))
        inputs[label] = np.array(column).reshape(points, -1)
    return Case(name, spin, inputs)


_search = settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@_search
@given(cases(LIBXC))
def test_any_values(case: Case) -> None:
    with oracle(case.name, case.spin) as direct:
        orders = direct.orders
    wanted = expected(case.name, case.spin, case.inputs, orders)
    flags = {f"do_{order}": order in orders for order in ORDERS}
    copies = {label: values.copy() for label, values in case.inputs.items()}
    result = LibXCFunctional(case.name, case.spin).compute(case.inputs, **flags)
    assert_equal(result, wanted, case.name)
    for label, values in case.inputs.items():
        np.testing.assert_array_equal(values, copies[label])
    # libxc calls a point empty by its total density.
    empty = case.inputs["rho"].sum(axis=1) <= 0.0
    for values in result.values():
        assert not values[empty].any()


@_search
@given(cases(CLONES))
def test_any_values_in_neural_functionals(case: Case) -> None:
    copies = {label: values.copy() for label, values in case.inputs.items()}
    result = LibXCFunctional(case.name, case.spin).compute(case.inputs, do_fxc=True)
    for label, values in case.inputs.items():
        np.testing.assert_array_equal(values, copies[label])
    spec = registry.find(case.name).spec
    assert spec is not None
    empty = case.inputs["rho"].sum(axis=1) < spec.thresholds.density
    for label, values in result.items():
        assert np.isfinite(values).all(), label
        assert not values[empty].any(), label


# -- densities of atoms ----------------------------------------------------------------------------


class Atom(NamedTuple):
    symbol: str
    weights: Array
    unpolarized: dict[str, Array]
    polarized: dict[str, Array]


def _atom(symbol: str, spin: int) -> Atom:
    from pyscf import dft, gto, scf

    molecule = gto.M(atom=symbol, spin=spin, basis="6-31g", verbose=0)
    mean_field = scf.UHF(molecule).run()
    grids = dft.gen_grid.Grids(molecule)
    grids.level = 0
    grids.build()
    numint = dft.numint.NumInt()
    ao = numint.eval_ao(molecule, grids.coords, deriv=2)
    # Rows: density, its gradient, Laplacian, tau.
    up, down = (
        numint.eval_rho(molecule, ao, dm, xctype="MGGA", with_lapl=True)
        for dm in mean_field.make_rdm1()
    )
    total = up + down
    dot = [np.einsum("xp,xp->p", a[1:4], b[1:4]) for a, b in ((up, up), (up, down), (down, down))]
    polarized = {
        "rho": np.stack([up[0], down[0]], axis=1),
        "sigma": np.stack(dot, axis=1),
        "lapl": np.stack([up[4], down[4]], axis=1),
        "tau": np.stack([up[5], down[5]], axis=1),
    }
    sigma = dot[0] + 2 * dot[1] + dot[2]
    unpolarized = {"rho": total[0], "sigma": sigma, "lapl": total[4], "tau": total[5]}
    return Atom(symbol, grids.weights, {k: v[:, None] for k, v in unpolarized.items()}, polarized)


@pytest.fixture(scope="module")
def atoms() -> list[Atom]:
    pytest.importorskip("pyscf")
    return [_atom(symbol, spin) for symbol, spin in (("H", 1), ("N", 3), ("O", 2), ("Ne", 0))]


@pytest.mark.slow
@pytest.mark.parametrize("name", LIBXC)
def test_atoms(name: str, atoms: list[Atom]) -> None:
    for atom in atoms:
        for spin, inputs in ((1, atom.unpolarized), (2, atom.polarized)):
            with oracle(name, spin) as direct:
                orders = direct.orders[:-1]  # third derivatives are slow on so many points
            flags = {f"do_{order}": order in orders for order in ORDERS}
            result = LibXCFunctional(name, spin).compute(inputs, **flags)
            assert_equal(result, expected(name, spin, inputs, orders), f"{name} {atom.symbol}")


@pytest.mark.slow
@pytest.mark.parametrize("spin", [1, 2])
@pytest.mark.parametrize("name", [name for name in CLONES if "_xc_" not in name])
def test_neural_functionals_on_atoms(name: str, spin: int, atoms: list[Atom]) -> None:
    """The clones of libxc's functionals; where a spin vanishes both are at their thresholds."""
    twin = name.removesuffix("_clone").replace("slater", "").rstrip("_")
    for atom in atoms:
        inputs = atom.polarized if spin == 2 else atom.unpolarized
        dense = atom.polarized["rho"].min(axis=1) > 1e-6
        points = {label: values[dense] for label, values in inputs.items()}
        result = LibXCFunctional(name, spin).compute(points, do_fxc=True)
        wanted = expected(twin, spin, points, ["exc", "vxc", "fxc"])
        assert list(result) == list(wanted)
        for label, values in wanted.items():
            rtol = 1e-9
            if label.startswith("v2"):
                # TPSS is a difference of nearly equal terms in both codes, and rounds accordingly.
                rtol = 1e-6 if name == "mgga_c_tpss_clone" else 1e-7
            atol = 0.1 * rtol * np.abs(values).max(initial=0.0)
            message = f"{name} {atom.symbol} {label}"
            np.testing.assert_allclose(result[label], values, rtol, atol, err_msg=message)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["PBE", "TPSS", "B3LYP", *CLONES])
def test_closed_shell_is_the_spin_unpolarized_limit(name: str, atoms: list[Atom]) -> None:
    neon = atoms[-1]
    unpolarized = LibXCFunctional(name, 1).compute(neon.unpolarized)
    polarized = LibXCFunctional(name, 2).compute(neon.polarized)
    dense = neon.unpolarized["rho"].ravel() > 1e-6  # thresholds are per spin
    for label, weights in {"zk": [1], "vrho": [0.5, 0.5], "vsigma": [0.25, 0.25, 0.25]}.items():
        if label in polarized:
            folded = polarized[label] @ np.array(weights)
            np.testing.assert_allclose(
                folded[dense], unpolarized[label].ravel()[dense], rtol=1e-9, atol=1e-12
            )


@pytest.mark.slow
def test_energy_of_an_atom_as_in_pyscf(atoms: list[Atom]) -> None:
    from pyscf.dft import libxc as host

    for atom in atoms:
        # PySCF wants gradients: one along z with the same sigma is as good.
        rho = atom.unpolarized["rho"].ravel()
        slope = np.sqrt(atom.unpolarized["sigma"].ravel())
        zero = np.zeros_like(rho)
        theirs = host.eval_xc("PBE", np.array([rho, zero, zero, slope]), spin=0, deriv=1)
        ours = LibXCFunctional("PBE", 1).compute(atom.unpolarized)
        energy = [np.sum(atom.weights * rho * e) for e in (theirs[0], ours["zk"].ravel())]
        assert energy[0] == pytest.approx(energy[1], rel=1e-10)


# -- thresholds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("spin", [1, 2])
@pytest.mark.parametrize("name", ["lda_c_pw", "gga_x_pbe", "mgga_c_r2scan", *CLONES])
def test_empty_points_are_exactly_zero(name: str, spin: int) -> None:
    functional = LibXCFunctional(name, spin)
    inputs = needed(functional, densities(12, spin, seed=12))
    empty = np.array([1, 4, 5, 9])
    inputs["rho"][empty] = np.array([0.0, 1e-300, 1e-17, -1.0])[:, None]
    result = functional.compute(inputs, do_fxc=True)
    full = np.setdiff1d(np.arange(12), empty)
    alone = functional.compute({k: v[full] for k, v in inputs.items()}, do_fxc=True)
    for label, values in result.items():
        assert not values[empty].any(), label
        np.testing.assert_array_equal(values[full], alone[label], label)


@pytest.mark.parametrize("name", ["lda_x", "gga_x_pbe", "mgga_x_r2scan", *CLONES])
def test_density_threshold_can_be_set(name: str) -> None:
    functional = LibXCFunctional(name, "unpolarized")
    inputs = needed(functional, densities(60, 1, seed=13))
    before = functional.compute(inputs)
    functional.set_dens_threshold(1e-2)
    below = inputs["rho"].ravel() < 1e-2
    # Just above it exchange functionals still drop the spins, each of half the density.
    above = inputs["rho"].ravel() > 2e-2
    assert min(below.sum(), above.sum()) > 5
    for label, values in functional.compute(inputs).items():
        assert not values[below].any()
        np.testing.assert_array_equal(values[above], before[label][above])


@pytest.mark.parametrize("setter", ["dens", "zeta", "sigma", "tau"])
@pytest.mark.parametrize("name", ["mgga_x_r2scan", *CLONES])
def test_negative_thresholds_are_refused(name: str, setter: str) -> None:
    with pytest.raises(ValueError, match="threshold"):
        getattr(LibXCFunctional(name, 1), f"set_{setter}_threshold")(-1e-3)


# -- forms of the input ----------------------------------------------------------------------------

SUBJECTS = ["lda_c_pw", "gga_c_lyp", "mgga_c_m06_l", *CLONES]
STRIDED = {"rho": 5, "sigma": 7, "lapl": 4, "tau": 6}


def _forms(inputs: dict[str, Array]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same values in every form in which programs give them."""
    yield "flat", {k: v.ravel() for k, v in inputs.items()}
    yield "more dimensions", {k: v.reshape(2, 3, -1) for k, v in inputs.items()}
    yield "rows", {k: v.reshape(1, -1) for k, v in inputs.items()}
    yield "column-major", {k: np.asfortranarray(v) for k, v in inputs.items()}
    yield "lists", {k: v.tolist() for k, v in inputs.items()}
    yield "flat lists", {k: v.ravel().tolist() for k, v in inputs.items()}
    yield "tuples", {k: tuple(map(tuple, v)) for k, v in inputs.items()}
    yield "big-endian", {k: v.astype(">f8") for k, v in inputs.items()}
    yield "long double", {k: v.astype(np.longdouble) for k, v in inputs.items()}
    strided = {}
    for k, v in inputs.items():
        wide = np.full((2 * len(v), STRIDED[k]), np.nan)
        wide[::2, : v.shape[1]] = v
        strided[k] = wide[::2, : v.shape[1]]
    yield "strided", strided
    frozen = {k: v.copy() for k, v in inputs.items()}
    for v in frozen.values():
        v.flags.writeable = False
    yield "read-only", frozen


@pytest.mark.parametrize("spin", [1, 2])
@pytest.mark.parametrize("name", SUBJECTS)
def test_input_forms(name: str, spin: int) -> None:
    functional = LibXCFunctional(name, spin)
    inputs = needed(functional, densities(6, spin, seed=14))
    wanted = functional.compute(inputs, do_fxc=True)
    for form, given_inputs in _forms(inputs):
        assert_equal(functional.compute(given_inputs, do_fxc=True), wanted, form)
    single = {k: v.astype(np.float32) for k, v in inputs.items()}
    double = {k: v.astype(np.float64) for k, v in single.items()}
    assert_equal(functional.compute(single), functional.compute(double), "float32")
    arrays: list[Any] = [inputs[k] for k in ("rho", "sigma", "tau") if k in inputs]
    assert_equal(functional.compute(*arrays), functional.compute(inputs), "positional")


def test_a_bare_array_is_the_density() -> None:
    functional = LibXCFunctional("lda_x", "polarized")
    rho = densities(4, 2, seed=15)["rho"]
    wanted = functional.compute({"rho": rho})
    assert_equal(functional.compute(rho), wanted)
    assert_equal(functional.compute(rho.ravel()), wanted)


def test_integers_are_numbers() -> None:
    functional = LibXCFunctional("lda_x", 1)
    assert_equal(functional.compute([1, 2]), functional.compute([1.0, 2.0]))


def test_laplacian_by_keyword() -> None:
    functional = LibXCFunctional("mgga_x_br89", 2)
    inputs = densities(3, 2, seed=16)
    positional = functional.compute(
        inputs["rho"], inputs["sigma"], inputs["tau"], lapl=inputs["lapl"]
    )
    assert_equal(positional, functional.compute(inputs))


@pytest.mark.parametrize("points", [0, 1, 2, 2047, 2048, 2049, 6001])
@pytest.mark.parametrize("name", ["lda_x", "gga_c_pbe", "mgga_x_tpss"])
def test_any_number_of_points(name: str, points: int) -> None:
    """Points are evaluated in chunks, which must not show."""
    inputs = densities(points, 2, seed=17)
    result = LibXCFunctional(name, 2).compute(inputs, do_fxc=True)
    if points == 0:
        assert all(v.shape == (0, width(label, 2)) for label, v in result.items())
        return
    assert_equal(result, expected(name, 2, inputs, ["exc", "vxc", "fxc"]))


# -- buffers of the caller -------------------------------------------------------------------------


@pytest.mark.parametrize("spin", [1, 2])
@pytest.mark.parametrize("name", SUBJECTS)
def test_output_buffers_are_filled_in_place(name: str, spin: int) -> None:
    functional = LibXCFunctional(name, spin)
    inputs = needed(functional, densities(6, spin, seed=18))
    wanted = functional.compute(inputs, do_fxc=True)
    for shape in ((6, -1), (-1,), (2, 3, -1)):
        buffers = {k: np.full(v.shape, np.nan).reshape(shape) for k, v in wanted.items()}
        kept = dict(buffers)
        result = functional.compute(inputs, buffers, do_fxc=True)
        assert list(result) == list(wanted)
        for label, values in wanted.items():
            assert np.shares_memory(result[label], kept[label])
            np.testing.assert_array_equal(kept[label].reshape(values.shape), values)


def test_missing_buffers_are_made_and_others_left_alone() -> None:
    functional = LibXCFunctional("gga_x_pbe", 1)
    inputs = densities(3, 1, seed=19)
    buffers = {"vrho": np.empty((3, 1)), "v2rho2": np.full((3, 1), 7.0)}
    result = functional.compute(inputs, output=buffers)
    assert_equal(result, functional.compute(inputs))
    assert (buffers["v2rho2"] == 7.0).all()


@pytest.mark.parametrize(
    "wrong",
    [np.empty((2, 1)), np.empty((3, 2)), np.empty((3, 1), np.float32), [0.0, 0.0, 0.0]],
)
def test_wrong_buffers_are_refused(wrong: Any) -> None:
    functional = LibXCFunctional("gga_x_pbe", 1)
    with pytest.raises(ValueError, match="vrho"):
        functional.compute(densities(3, 1, seed=19), {"vrho": wrong})


# -- exceptions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("spin", [1, 2])
@pytest.mark.parametrize("name", [*LIBXC, *CLONES])
def test_missing_and_wrong_labels_are_named(name: str, spin: int) -> None:
    functional = LibXCFunctional(name, spin)
    flags = {f"do_{order}": getattr(functional, f"_have_{order}") for order in ORDERS[:2]}
    inputs = needed(functional, densities(4, spin, seed=20))
    functional.compute(inputs, **flags)
    for label in inputs:
        others = {k: v for k, v in inputs.items() if k != label}
        with pytest.raises(KeyError, match=label):
            functional.compute(others, **flags)
        if label == "rho":
            continue
        for wrong in (inputs[label][:3], np.append(inputs[label], 0.0)):
            with pytest.raises(ValueError, match=label):
                functional.compute({**inputs, label: wrong}, **flags)
        broken = inputs[label].copy()
        broken[1, 0] = np.nan
        with pytest.raises(ValueError, match=label):
            functional.compute({**inputs, label: broken}, **flags)


def test_density_that_does_not_divide_by_the_spins() -> None:
    with pytest.raises(ValueError, match="rho"):
        LibXCFunctional("lda_x", "polarized").compute(np.ones(3))


@pytest.mark.parametrize("unknown", ["gga_x_nothing", "XC_", "", 0, 99_999])
def test_unknown_functionals(unknown: str | int) -> None:
    with pytest.raises(KeyError):
        LibXCFunctional(unknown, 1)


@pytest.mark.parametrize("wrong", [1.5, None, ["lda_x"], b"lda_x"])
def test_names_of_a_wrong_type(wrong: Any) -> None:
    with pytest.raises(TypeError):
        LibXCFunctional(wrong, 1)


@pytest.mark.parametrize("spin", ["both", "", 0, 3, -1, None])
def test_wrong_spins(spin: Any) -> None:
    with pytest.raises(KeyError):
        LibXCFunctional("lda_x", spin)


@pytest.mark.parametrize("name", ["lda_x", "LDA_X", "XC_LDA_X", "xc_lda_x", 1, np.int64(1)])
@pytest.mark.parametrize("spin", ["Polarized", "POLARIZED", 2, np.int64(2)])
def test_spellings(name: str | int, spin: str | int) -> None:
    functional = LibXCFunctional(name, spin)
    assert (functional._xc_func_name, functional._spin) == ("lda_x", 2)
