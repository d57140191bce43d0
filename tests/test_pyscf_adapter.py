"""Clones of Slater, PBE and TPSS in PySCF: everything must equal PySCF with libxc."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyscf", reason="the PySCF adapter's tests need PySCF")

from pyscf import dft, gto
from pyscf.dft import libxc, numint

from tests.densities import random_densities
from tests.folders import copy_folder
from xcnet import registry
from xcnet.adapters import pyscf as adapter
from xcnet.adapters.pyscf import layout
from xcnet.adapters.pyscf.facade import StandIn
from xcnet.errors import (
    ArgumentTypeError,
    ExpressionError,
    InputError,
    UnknownFunctionalError,
    UnsupportedError,
)

MODELS = Path(__file__).resolve().parent / "models"
ORIGINAL = numint.LibXCMixin.libxc
IS_HYBRID_XC = libxc.is_hybrid_xc
PAIRS = [("Slater_clone", "LDA,"), ("PBE_clone", "PBE"), ("TPSS_clone", "TPSS")]


@pytest.fixture(scope="module", autouse=True)
def clones() -> Iterator[None]:
    """Clones known by name, adapter installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(registry.MODEL_PATH_VARIABLE, str(MODELS))
        adapter.install()
        yield
        adapter.uninstall()
    assert numint.LibXCMixin.libxc is ORIGINAL


@pytest.fixture(scope="module")
def water() -> Any:
    geometry = "O 0 0 0.119262; H 0 0.763239 -0.477047; H 0 -0.763239 -0.477047"
    return gto.M(atom=geometry, basis="6-31g", verbose=0)


@pytest.fixture(scope="module")
def water_cation() -> Any:
    geometry = "O 0 0 0; H 0 0 0.97; H 0.9 0 -0.3"
    return gto.M(atom=geometry, basis="6-31g", charge=1, spin=1, verbose=0)


def _scf(mf: Any) -> Any:
    mf.grids.level = 1
    mf.conv_tol = 1e-11
    return mf


def _energy(mf: Any) -> float:
    mf.kernel()
    assert mf.converged
    return float(mf.e_tot)


# -- energies ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("clone", "original"), PAIRS)
def test_closed_shell_equals_libxc(water: Any, clone: str, original: str) -> None:
    energies = [_energy(_scf(dft.RKS(water, xc=xc))) for xc in (clone, original)]
    assert energies[0] == pytest.approx(energies[1], abs=1e-9)


@pytest.mark.parametrize("method", ["UKS", "ROKS"])
@pytest.mark.parametrize(("clone", "original"), PAIRS)
def test_open_shell_equals_libxc(water_cation: Any, method: str, clone: str, original: str) -> None:
    energies = [
        _energy(_scf(getattr(dft, method)(water_cation, xc=xc))) for xc in (clone, original)
    ]
    assert energies[0] == pytest.approx(energies[1], abs=1e-9)


WAYS: dict[str, Callable[[Any], Any]] = {
    "density_fit": lambda mf: mf.density_fit(),
    "to_uks": lambda mf: mf.to_uks(),
    "to_gks": lambda mf: mf.to_gks(),
    "copy": lambda mf: mf.copy(),
    "newton": lambda mf: mf.newton(),
    "pickle": lambda mf: pickle.loads(pickle.dumps(mf)),
    "newton of a fit": lambda mf: mf.density_fit().newton(),
}


@pytest.mark.parametrize("way", WAYS)
def test_objects_made_from_others_keep_the_functional(water: Any, way: str) -> None:
    energies = []
    for xc in ("TPSS-clone", "TPSS"):
        mf = WAYS[way](_scf(dft.RKS(water, xc=xc)))
        energies.append(_energy(mf))
        assert mf.xc == xc
    assert energies[0] == pytest.approx(energies[1], abs=1e-9)


#: Expressions with clones and the same in PySCF's own words, any order and spelling.
EXPRESSIONS = [
    ("0.25*HF + 0.75*PBE_clone_x, PBE", "PBE0"),
    ("GGA_X_PBE_clone*0.75+.25*hf , pbe-clone-c", "PBE0"),
    ("0.25*HF + 0.75*PBE_clone + 0.25*GGA_C_PBE", "PBE0"),
    (".5*PBE-Clone + .5*TPSS", ".5*PBE + .5*TPSS"),
    ("0.5*tpss + pbe_clone*0.5", ".5*PBE + .5*TPSS"),
    ("TPSS_clone - PBE_clone + PBE", "TPSS"),
    ("PBE-pbeclone+xc_mgga_xc_tpss_clone", "TPSS"),
    ("190004", "PBE"),
    (".5*B3LYP + 0.5*PBE_clone", ".5*B3LYP + .5*PBE"),
    ("RSH(0.3, 0.2, -0.1) + 0.9*PBE_clone", "RSH(0.3, 0.2, -0.1) + 0.9*PBE"),
    ("SR_HF(0.11)*0.25 + 75e-2*PBE_clone", "SR_HF(0.11)*0.25 + 75e-2*PBE"),
    ("Slater_clone,VWN", "LDA,VWN"),
    ("revM06-L + 0.0*PBE_clone", "MGGA_X_REVM06_L,MGGA_C_REVM06_L"),
]


@pytest.mark.parametrize(("ours", "original"), EXPRESSIONS)
def test_expressions_equal_libxc(water: Any, ours: str, original: str) -> None:
    results = [_fixed_density(water, xc) for xc in (ours, original)]
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)
    facade = numint.LibXCMixin.libxc
    assert facade.hybrid_coeff(ours) == pytest.approx(libxc.hybrid_coeff(original), abs=1e-14)
    assert facade.rsh_coeff(ours) == pytest.approx(libxc.rsh_coeff(original), abs=1e-14)
    assert facade.is_hybrid_xc(ours) == libxc.is_hybrid_xc(original)


@pytest.mark.parametrize(
    ("twice", "once"),
    [
        ("TPSS_clone,TPSS_clone", "TPSS"),
        ("mgga_xc_tpss_clone, tpss-clone", "TPSS"),
        ("0.5*PBE_clone + 0.25*GGA_X_PBE + 0.25*HF, 0.5*PBE", "PBE0"),
    ],
)
def test_the_same_name_on_both_sides_of_the_comma(water: Any, twice: Any, once: str) -> None:
    results = [_fixed_density(water, xc) for xc in (twice, once)]
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    ("xc", "says"),
    [
        ("TPSS_clone,LYP", "(?i)'TPSS_clone,LYP' counts correlation 2 times.*'TPSS_clone' alone"),
        ("TPSS_clone + GGA_C_LYP", "counts correlation 2 times"),
        ("PBE_clone + PBE", "counts correlation 2 times.*'0.5\\*PBE_clone"),
        ("PBE_clone, 0.5*LYP", "counts correlation 1.5 times"),
        ("PBE_clone + PBE_clone_c", "counts correlation 2 times"),
        ("2*PBE_clone", "counts correlation 2 times"),
        ("B88,TPSS_clone", "after the comma.*'TPSS_clone' without the comma"),
        (",TPSS_clone", "after the comma"),
        ("HF,TPSS_clone", "after the comma"),
        ("0.5*PBE_clone,0.5*PBE_clone", "(?i)Write '0.5\\*PBE_clone' without the comma"),
        ("PBE,PBE_clone_x", "PBE_clone_x is an exchange functional.*or before it"),
    ],
)
def test_correlation_counted_twice_is_refused(water: Any, xc: Any, says: str) -> None:
    with pytest.raises(ExpressionError, match=says):
        _scf(dft.RKS(water, xc=xc)).kernel()


def _fixed_density(mol: Any, xc: str) -> tuple[Any, ...]:
    mf = _scf(dft.RKS(mol, xc=xc))
    density = mf.get_init_guess()
    potential = mf.get_veff(mol, density)
    return np.asarray(potential), potential.exc, mf.energy_tot(density)


def test_hybrid_scf_equals_pbe0(water: Any) -> None:
    energies = [
        _energy(_scf(dft.RKS(water, xc=xc)).density_fit())
        for xc in ("0.25*HF + 0.75*PBE_clone_x, PBE_clone_c", "PBE0")
    ]
    assert energies[0] == pytest.approx(energies[1], abs=1e-9)


def test_gradient_equals_libxc(water: Any, water_cation: Any) -> None:
    for mol, method in ((water, "RKS"), (water_cation, "UKS")):
        forces = []
        for xc in ("TPSS_clone", "TPSS"):
            mf = _scf(getattr(dft, method)(mol, xc=xc)).run()
            forces.append(mf.nuc_grad_method().set(grid_response=True).kernel())
        np.testing.assert_allclose(forces[0], forces[1], atol=1e-9)


@pytest.mark.parametrize("singlet", [True, False])
def test_excitations_equal_libxc(water: Any, singlet: bool) -> None:
    energies = []
    for xc in ("TPSS_clone", "TPSS"):
        mf = _scf(dft.RKS(water, xc=xc)).run()
        energies.append(mf.TDDFT().set(singlet=singlet, nstates=2, verbose=0).kernel()[0])
    np.testing.assert_allclose(energies[0], energies[1], atol=1e-8)


def test_stability_of_an_open_shell(water_cation: Any) -> None:
    orbitals = [
        _scf(dft.UKS(water_cation, xc=xc)).run().stability()[0] for xc in ("PBE_clone", "PBE")
    ]
    np.testing.assert_allclose(np.abs(orbitals[0]), np.abs(orbitals[1]), atol=1e-6)


def test_published_network_reproduces_the_authors_energy(water: Any, published: Path) -> None:
    """RKS, grid level 3, PySCF >= 2.7's grids; computed with the authors' own script's form."""
    mf = dft.RKS(water, xc="NN-metaGGA-Nagai2020").run()
    assert mf.converged
    assert mf.e_tot == pytest.approx(-76.20021082, abs=2e-8)


# -- the flat array ------------------------------------------------------------------------------


def _rows(kind: str, spin: int, points: int = 40) -> Any:
    """PySCF's density rows with the given kind's variables, made from random gradients."""
    values = random_densities(points, seed=3)
    rng = np.random.default_rng(1)
    direction = rng.normal(size=(2, 3, points))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    norm = np.sqrt(values["sigma"][:, ::2].T)
    rows = np.concatenate(
        [values["rho"].T[:, None], norm[:, None] * direction, values["tau"].T[:, None]], axis=1
    )
    rows = rows[:, : layout.ROWS[kind]]
    return rows if spin else rows.sum(axis=0)


@pytest.mark.parametrize("deriv", [0, 1, 2])
@pytest.mark.parametrize("spin", [0, 1])
@pytest.mark.parametrize(
    ("clone", "original"),
    [*PAIRS, ("PBE_clone+TPSS-PBE", "TPSS"), ("Slater_clone+PBE-LDA_X", "PBE")],
)
def test_flat_array_equals_libxc(clone: str, original: str, spin: int, deriv: int) -> None:
    rho = _rows(libxc.xc_type(original), spin)
    facade = numint.LibXCMixin.libxc
    ours = facade.eval_xc1(clone, rho, spin, deriv)
    expected = libxc.eval_xc1(original, rho, spin, deriv)
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours, expected, rtol=1e-7, atol=1e-8 * np.abs(expected).max())
    for a, b in zip(
        facade.eval_xc(clone, rho, spin, deriv=deriv),
        libxc.eval_xc(original, rho, spin, deriv=deriv),
        strict=True,
    ):
        _assert_same_blocks(a, b)


def _assert_same_blocks(ours: Any, expected: Any) -> None:
    """Same nesting, same None, same shapes, close numbers."""
    if expected is None or ours is None:
        assert expected is None
        assert ours is None
    elif isinstance(expected, np.ndarray):
        assert ours.shape == expected.shape
        np.testing.assert_allclose(ours, expected, rtol=1e-7, atol=1e-8 * np.abs(expected).max())
    else:
        for a, b in zip(ours, expected, strict=True):
            _assert_same_blocks(a, b)


def _odd_rows(kind: str, spin: int) -> Any:
    """Density rows as PySCF's own tests make them: negative and empty channels, zero, tiny."""
    rho = _rows(kind, spin)
    rho[..., 0, :5] = [0.0, -1e-3, -1e-20, 1e-16, 1e-11]
    if spin:
        rho[1, :, 5] = 0.0  # one electron
        rho[0, 0, 6] = -0.01
    return rho


@pytest.mark.parametrize("deriv", [1, 2])
@pytest.mark.parametrize("spin", [0, 1])
@pytest.mark.parametrize(("clone", "original"), [("Slater_clone", "LDA,"), ("PBE_clone_x", "PBE,")])
def test_empty_channels_equal_libxc(clone: str, original: str, spin: int, deriv: int) -> None:
    rho = _odd_rows(libxc.xc_type(original), spin)
    ours = numint.LibXCMixin.libxc.eval_xc1(clone, rho, spin, deriv)
    expected = libxc.eval_xc1(original, rho, spin, deriv)
    # At 1e-11 the floor of sigma takes part, rounded to other digits.
    kept = np.arange(rho.shape[-1]) != 4
    np.testing.assert_allclose(ours[:, kept], expected[:, kept], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("spin", [0, 1])
@pytest.mark.parametrize("clone", ["PBE_clone", "TPSS_clone"])
def test_empty_channels_stay_finite(clone: str, spin: int) -> None:
    rho = _odd_rows(numint.LibXCMixin.libxc.xc_type(clone), spin)
    values = numint.LibXCMixin.libxc.eval_xc1(clone, rho, spin, 2)
    assert np.isfinite(values).all()
    assert not values[:, :4].any()


@pytest.mark.parametrize(("clone", "original"), PAIRS)
def test_one_electron(clone: str, original: str) -> None:
    atom = gto.M(atom="H", basis="def2-svp", spin=1, verbose=0)
    energies = [_energy(_scf(dft.UKS(atom, xc=xc))) for xc in (clone, original)]
    assert energies[0] == pytest.approx(energies[1], abs=1e-9)


def test_effective_derivatives_equal_libxc() -> None:
    facade = numint.LibXCMixin.libxc
    for spin in (0, 1):
        rho = _rows("MGGA", spin)
        ours = facade.eval_xc_eff("TPSS_clone", rho, deriv=2)
        expected = libxc.eval_xc_eff("TPSS", rho, deriv=2)
        np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-8 * np.abs(expected).max())


def test_density_with_laplacian_row() -> None:
    rho = np.insert(_rows("MGGA", 0), 4, 1.0, axis=0)
    ours = numint.LibXCMixin.libxc.eval_xc1("TPSS_clone", rho, 0, 1)
    np.testing.assert_allclose(ours, libxc.eval_xc1("TPSS", rho, 0, 1), rtol=1e-9)


def test_density_rows_of_another_type_are_refused() -> None:
    facade = numint.LibXCMixin.libxc
    for kind in ("LDA", "GGA"):
        for spin in (0, 1):
            with pytest.raises(InputError, match="used as MGGA needs"):
                facade.eval_xc1("TPSS_clone", _rows(kind, spin), spin)
            with pytest.raises(InputError, match="used as MGGA needs"):
                numint.NumInt().eval_xc_eff("TPSS_clone", _rows(kind, spin))
    with pytest.raises(InputError, match="TPSS_clone is used as MGGA, not as GGA"):
        numint.NumInt().eval_xc_eff("TPSS_clone", _rows("MGGA", 0), xctype="GGA")


def test_functionals_of_define_xc_are_left_alone(water: Any) -> None:
    """PySCF does not read ``mf.xc`` any more then, whatever it names."""

    def slater(xc: object, rho: Any, *args: Any, **kwargs: Any) -> Any:
        return libxc.eval_xc("LDA,", rho, *args, **kwargs)

    def energy(xc: str) -> float:
        mf = dft.RKS(water, xc=xc)
        libxc.define_xc_(mf._numint, slater, "LDA")
        return float(mf._numint.nr_rks(water, mf.grids.build(), mf.xc, np.eye(water.nao))[1])

    assert energy("TPSS_clone") == energy("PBE")


# -- installation --------------------------------------------------------------------------------


def test_install_is_idempotent_and_reversible() -> None:
    first = numint.LibXCMixin.libxc
    adapter.install()
    assert numint.LibXCMixin.libxc is first
    adapter.uninstall()
    try:
        assert numint.LibXCMixin.libxc is ORIGINAL
        assert libxc.is_hybrid_xc is IS_HYBRID_XC
        with pytest.raises(KeyError):
            numint.LibXCMixin.libxc.xc_type("PBE_clone")
        adapter.uninstall()
    finally:
        adapter.install()
    assert numint.LibXCMixin.libxc.xc_type("PBE_clone") == "GGA"


def test_install_chains_to_what_was_there(water: Any) -> None:
    """Another plug-in below keeps answering for its own names, one on top may come and go."""
    asked: list[object] = []

    class Plugin(SimpleNamespace):
        def __getattr__(self, name: str) -> Any:
            return getattr(ORIGINAL, name)

        def xc_type(self, xc: object) -> str:
            asked.append(xc)
            return "LDA" if xc == "mine" else str(ORIGINAL.xc_type(xc))

    adapter.uninstall()
    numint.LibXCMixin.libxc = Plugin(__name__="plug-in")
    try:
        adapter.install()
        below = numint.LibXCMixin.libxc
        assert below.xc_type("mine") == "LDA"
        assert below.xc_type("PBE_clone") == "GGA"
        numint.LibXCMixin.libxc = on_top = SimpleNamespace(
            previous=below, xc_type=below.xc_type, __name__="on top"
        )
        adapter.uninstall()
        assert numint.LibXCMixin.libxc is on_top
        with pytest.raises(KeyError):
            on_top.xc_type("PBE_clone")
    finally:
        numint.LibXCMixin.libxc = ORIGINAL
        adapter.install()
    assert "mine" in asked


def test_attach_serves_one_object(water: Any) -> None:
    adapter.uninstall()
    try:
        expected = _energy(_scf(dft.RKS(water, xc="PBE")).density_fit())
        attached = adapter.attach(_scf(dft.RKS(water, xc="PBE_clone")))
        assert _energy(attached.density_fit()) == pytest.approx(expected, abs=1e-9)
        again = pickle.loads(pickle.dumps(adapter.attach(attached))).to_uks().density_fit()
        assert _energy(again) == pytest.approx(expected, abs=1e-9)
        with pytest.raises(KeyError):
            dft.RKS(water, xc="PBE_clone").run()
        with pytest.raises(ArgumentTypeError, match="Kohn-Sham"):
            adapter.attach(water)
    finally:
        adapter.uninstall()
        adapter.install()


def test_parser_table_is_left_as_it_was() -> None:
    before = dict(libxc.XC_CODES)
    facade = StandIn(libxc)
    start = threading.Barrier(4)

    def parse(i: int) -> Any:
        start.wait()
        return facade.parse_xc(f"0.{i + 1}*PBE_clone + HF")

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(parse, range(4)))
    assert [terms for _, terms in results] == [((190004, float(f"0.{i + 1}")),) for i in range(4)]
    assert before == libxc.XC_CODES


def test_own_functionals_are_untouched(water: Any) -> None:
    """PySCF's own expressions, custom functionals and tuples are passed on as they are."""
    facade = numint.LibXCMixin.libxc
    if not hasattr(libxc, "register_custom_functional_"):
        pytest.skip("this PySCF has no custom functionals")
    libxc.register_custom_functional_("My-PBE", "PBE", ext_params={101: [0.5, 0.2]})
    try:
        assert facade.xc_type("My-PBE") == "GGA"
        assert facade.xc_type(("PBE", "LYP")) == "GGA"
        assert facade.parse_xc("B3LYP") == libxc.parse_xc("B3LYP")
        assert not facade.is_hybrid_xc(None)
        assert facade.__version__ == libxc.__version__
    finally:
        libxc.unregister_custom_functional_("My-PBE")


def test_references_and_header_name_the_functional(water: Any, tmp_path: Path) -> None:
    mol = water.copy()
    mol.verbose, mol.output = 4, str(tmp_path / "log")
    mol.stdout = (tmp_path / "log").open("w")
    with mol.stdout:
        dft.RKS(mol, xc="0.5*PBE_clone + 0.5*TPSS").dump_flags()
    text = (tmp_path / "log").read_text()
    for part in ("xcnet", "0.5*PBE_clone + 0.5*TPSS", "Phys. Rev. Lett. 77, 3865", "Tao"):
        assert part in text


# -- bad input -----------------------------------------------------------------------------------


def _no_cycle(state: dict[str, Any]) -> None:
    pytest.fail("an SCF cycle was spent")


@pytest.mark.parametrize(
    ("xc", "error", "message"),
    [
        ("PBE_clome", UnknownFunctionalError, "'PBE_clome'.*PBE_clone"),  # as typed
        ("0.5*PBE_clone + 0.5*TPPS", UnknownFunctionalError, "TPSS"),
        ("NN-metaGGA-Nagai2020", UnknownFunctionalError, "models install nagai2020"),
        ("0.25*HF + 0.75*NN-NRA-Nagai2020", UnknownFunctionalError, "models install nagai2020"),
        ("0.5*0.5*PBE_clone", ExpressionError, "0.5"),
        ("PBE_clone/def2-svp", ExpressionError, "'PBE_clone/DEF2' not found.*gto.M"),
        ("PBE_clone + MGGA_X_SCANL", UnsupportedError, "Laplacian"),
        ("PBE_clone-D3BJ", UnsupportedError, "dispersion"),
    ],
)
def test_bad_names_stop_before_the_first_cycle(
    water: Any, xc: str, error: type[Exception], message: str
) -> None:
    mf = dft.RKS(water, xc=xc)
    mf.callback = _no_cycle
    with pytest.raises(error, match=message):
        mf.kernel()


def test_derivative_that_is_missing_is_named() -> None:
    rho = _rows("GGA", 0)
    facade = numint.LibXCMixin.libxc
    assert facade.test_deriv_order("PBE_clone", 3)
    assert not facade.test_deriv_order("PBE_clone", 4)
    with pytest.raises(NotImplementedError, match=r"PBE_clone.*lxc"):
        facade.test_deriv_order("PBE_clone", 4, raise_error=True)
    with pytest.raises(UnsupportedError, match=r"PBE_clone.*lxc"):
        facade.eval_xc1("PBE_clone", rho, 0, 4)


def test_redefinition_is_refused(water: Any) -> None:
    with pytest.raises(UnsupportedError, match=r"mf\.xc"):
        dft.RKS(water).define_xc_("PBE_clone")


def test_a_functional_replaced_in_the_registry_is_evaluated_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same name in another folder: cached plans and functionals are those of the old one."""
    energies = []
    for i, clone in enumerate(("gga_x_pbe_clone", "gga_xc_pbe_clone")):
        parent = tmp_path / str(i)
        folder = copy_folder(parent, "gga_xc_mine", template=clone, kind="exchange-correlation")
        monkeypatch.setenv("XCNET_MODEL_PATH", str(folder))
        mf = adapter.attach(dft.RKS(gto.M(atom="He 0 0 0", basis="sto-3g", verbose=0)))
        mf.xc = "gga_xc_mine"
        energies.append(mf.kernel())
    assert energies[0] - energies[1] > 0.01
