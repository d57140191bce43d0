"""``import xcnet.compat.pylibxc as pylibxc``: its modules, names, and programs written for it."""

from __future__ import annotations

import inspect
import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import xcnet
import xcnet.compat.pylibxc as pylibxc
from tests.folders import MODELS
from xcnet import libxc, registry

ROOT = Path(__file__).resolve().parent.parent
CLONE = next((folder.name for folder in sorted(MODELS.glob("mgga_*_clone"))), None)

METHODS = {
    "describe": [],
    "get_number": [],
    "get_kind": [],
    "get_name": [],
    "get_family": [],
    "get_flags": [],
    "get_references": [],
    "get_bibtex": [],
    "get_doi": [],
    "get_key": [],
    "get_hyb_exx_coef": [],
    "get_cam_coef": [],
    "get_vv10_coef": [],
    "aux_funcs": ["return_ids"],
    "get_ext_param_names": [],
    "get_ext_param_descriptions": [],
    "get_ext_param_default_values": [],
    "set_ext_params": ["ext_params"],
    "set_dens_threshold": ["dens_threshold"],
    "set_zeta_threshold": ["zeta_threshold"],
    "set_sigma_threshold": ["sigma_threshold"],
    "set_tau_threshold": ["tau_threshold"],
    "set_fhc_enforcement": ["enforce_fhc"],
    "compute": ["inp", "output", "do_exc", "do_vxc", "do_fxc", "do_kxc", "do_lxc"],
}
ATTRIBUTES = [
    "xc_func_sizes",
    "xc_func_size_names",
    "_spin",
    "_xc_func_name",
    "_number",
    "_kind",
    "_name",
    "_family",
    "_flags",
    "_have_exc",
    "_have_vxc",
    "_have_fxc",
    "_have_kxc",
    "_have_lxc",
    "_needs_laplacian",
    "_needs_tau",
    "_have_cam",
    "_cam_omega",
    "_cam_alpha",
    "_cam_beta",
    "_have_vv10",
    "_nlc_b",
    "_nlc_C",
    "_stable",
    "_dev",
]
UTILITIES = [
    "xc_version",
    "xc_version_string",
    "xc_reference",
    "xc_reference_doi",
    "xc_reference_key",
    "xc_functional_get_number",
    "xc_functional_get_name",
    "xc_family_from_id",
    "xc_number_of_functionals",
    "xc_available_functional_numbers",
    "xc_available_functional_names",
]
#: From libxc's header xc.h.
CONSTANTS = {
    "XC_UNPOLARIZED": 1,
    "XC_POLARIZED": 2,
    "XC_NON_RELATIVISTIC": 0,
    "XC_RELATIVISTIC": 1,
    "XC_EXCHANGE": 0,
    "XC_CORRELATION": 1,
    "XC_EXCHANGE_CORRELATION": 2,
    "XC_KINETIC": 3,
    "XC_FAMILY_UNKNOWN": -1,
    "XC_FAMILY_LDA": 1,
    "XC_FAMILY_GGA": 2,
    "XC_FAMILY_MGGA": 4,
    "XC_FAMILY_LCA": 8,
    "XC_FAMILY_OEP": 16,
    "XC_FAMILY_HYB_GGA": 32,
    "XC_FAMILY_HYB_MGGA": 64,
    "XC_FAMILY_HYB_LDA": 128,
    "XC_FLAGS_HAVE_EXC": 1,
    "XC_FLAGS_HAVE_VXC": 2,
    "XC_FLAGS_HAVE_FXC": 4,
    "XC_FLAGS_HAVE_KXC": 8,
    "XC_FLAGS_HAVE_LXC": 16,
    "XC_FLAGS_HAVE_ALL": 31,
    "XC_FLAGS_1D": 32,
    "XC_FLAGS_2D": 64,
    "XC_FLAGS_3D": 128,
    "XC_FLAGS_HYB_CAM": 256,
    "XC_FLAGS_HYB_CAMY": 512,
    "XC_FLAGS_VV10": 1024,
    "XC_FLAGS_HYB_LC": 2048,
    "XC_FLAGS_HYB_LCY": 4096,
    "XC_FLAGS_STABLE": 8192,
    "XC_FLAGS_DEVELOPMENT": 16384,
    "XC_FLAGS_NEEDS_LAPLACIAN": 32768,
    "XC_FLAGS_NEEDS_TAU": 65536,
    "XC_FLAGS_ENFORCE_FHC": 131072,
    "XC_MAX_REFERENCES": 5,
}


@pytest.fixture(autouse=True)
def _clones_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XCNET_MODEL_PATH", str(MODELS))


# -- the surface, member by member -----------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_methods_and_their_arguments(name: str) -> None:
    signature = inspect.signature(getattr(pylibxc.LibXCFunctional, name))
    positional = [
        p.name
        for p in signature.parameters.values()
        if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD and p.name != "self"
    ]
    assert positional == METHODS[name]


def test_defaults_of_compute() -> None:
    parameters = inspect.signature(pylibxc.LibXCFunctional.compute).parameters
    defaults = [parameters[name].default for name in METHODS["compute"][1:]]
    assert defaults == [None, True, True, False, False, False]
    arguments = list(inspect.signature(pylibxc.LibXCFunctional).parameters)
    assert arguments == ["func_name", "spin"]


FUNCTIONALS = ["lda_x", "hyb_gga_xc_cam_b3lyp", "mgga_x_r2scan", *([CLONE] if CLONE else [])]


@pytest.mark.parametrize("functional", FUNCTIONALS)
@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attributes(functional: str, name: str) -> None:
    assert hasattr(pylibxc.LibXCFunctional(functional, 2), name)


def test_attribute_values() -> None:
    cam = pylibxc.LibXCFunctional("hyb_gga_xc_cam_b3lyp", "polarized")
    assert (cam._spin, cam._number, cam._kind, cam._family) == (2, 433, 2, 32)
    assert (cam._xc_func_name, cam._name) == ("hyb_gga_xc_cam_b3lyp", "CAM version of B3LYP")
    assert cam._have_cam
    assert (cam._cam_omega, cam._cam_alpha, cam._cam_beta) == pytest.approx((0.33, 0.65, -0.46))
    assert not cam._have_vv10
    assert not cam._needs_laplacian
    assert not cam._needs_tau
    assert not cam._dev
    assert cam._have_exc
    assert cam._have_fxc
    hybrid = pylibxc.LibXCFunctional("hyb_gga_xc_b3lyp", 1)
    assert hybrid._cam_alpha == pytest.approx(0.2)
    assert not hybrid._have_cam
    vv10 = pylibxc.LibXCFunctional("mgga_xc_b97m_v", 1)
    assert vv10._have_vv10
    assert (vv10._nlc_b, vv10._nlc_C) == (6.0, 0.01)
    laplacian = pylibxc.LibXCFunctional("mgga_x_br89", 1)
    assert laplacian._needs_laplacian
    assert laplacian._needs_tau
    assert laplacian._stable == bool(laplacian.get_flags() & pylibxc.flags.XC_FLAGS_STABLE)


def test_sizes() -> None:
    lda = pylibxc.LibXCFunctional("lda_x", "polarized").xc_func_sizes
    assert {k: v for k, v in lda.items() if v} == {
        "rho": 2,
        "zk": 1,
        "vrho": 2,
        "v2rho2": 3,
        "v3rho3": 4,
        "v4rho4": 5,
    }
    mgga = pylibxc.LibXCFunctional("mgga_c_r2scan", "polarized")
    assert len(mgga.xc_func_sizes) == 4 + 1 + 4 + 10 + 20 + 35
    assert mgga.xc_func_size_names == sorted(mgga.xc_func_sizes)
    assert mgga.xc_func_sizes["sigma"] == 3
    assert mgga.xc_func_sizes["v3rhosigma2"] == 12
    assert set(pylibxc.LibXCFunctional("mgga_c_r2scan", 1).xc_func_sizes.values()) == {1}


@pytest.mark.parametrize("name", UTILITIES)
def test_utilities(name: str) -> None:
    assert callable(getattr(pylibxc.util, name))


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants(name: str) -> None:
    assert getattr(pylibxc.flags, name) == CONSTANTS[name]


def test_modules() -> None:
    assert pylibxc.functional.LibXCFunctional is pylibxc.LibXCFunctional is xcnet.LibXCFunctional
    assert pylibxc.version.__version__ == pylibxc.util.xc_version_string()
    assert pylibxc.get_core_path() == libxc.library().path
    assert pylibxc.core is libxc.library().core
    for module in (pylibxc, pylibxc.version):
        with pytest.raises(AttributeError, match="nothing"):
            module.nothing  # noqa: B018


def test_repr_names_the_functional() -> None:
    text = repr(pylibxc.LibXCFunctional("gga_c_pbe", 1))
    assert text.startswith("<xcnet.LibXCFunctional (gga_c_pbe, unpolarized) object at 0x")


def test_description_names_everything() -> None:
    text = pylibxc.LibXCFunctional("gga_c_pbe", 1).describe()
    for part in ("130", "gga_c_pbe", "Perdew, Burke & Ernzerhof", "Phys. Rev. Lett. 77, 3865"):
        assert part in text


def test_four_parallel_lists_of_citations() -> None:
    functional = pylibxc.LibXCFunctional("gga_x_pbe", 1)
    lists = [
        getattr(functional, f"get_{name}")() for name in ("references", "bibtex", "doi", "key")
    ]
    assert [type(texts) for texts in lists] == [list] * 4
    assert [len(texts) for texts in lists] == [2] * 4
    assert lists[2] == ["10.1103/PhysRevLett.77.3865", "10.1103/PhysRevLett.78.1396"]
    assert lists[1][0].startswith("@article{" + lists[3][0])


# -- behaviours ------------------------------------------------------------------------------


def test_questions_that_do_not_fit_the_kind() -> None:
    pure = pylibxc.LibXCFunctional("gga_x_pbe", 1)
    for method in ("get_hyb_exx_coef", "get_cam_coef", "get_vv10_coef"):
        with pytest.raises(ValueError, match="gga_x_pbe"):
            getattr(pure, method)()
    hybrid = pylibxc.LibXCFunctional("hyb_gga_xc_b3lyp", 1)
    assert hybrid.get_hyb_exx_coef() == pytest.approx(0.2)
    with pytest.raises(ValueError, match="range separated"):
        hybrid.get_cam_coef()
    separated = pylibxc.LibXCFunctional("hyb_gga_xc_cam_b3lyp", 1)
    assert separated.get_cam_coef() == pytest.approx((0.33, 0.65, -0.46))
    with pytest.raises(ValueError, match="get_cam_coef"):
        separated.get_hyb_exx_coef()
    assert pylibxc.LibXCFunctional("mgga_xc_b97m_v", 1).get_vv10_coef() == (6.0, 0.01)


def test_auxiliary_functionals() -> None:
    assert pylibxc.LibXCFunctional("gga_x_pbe", 1).aux_funcs() is None
    hybrid = pylibxc.LibXCFunctional("hyb_gga_xc_b3lyp", 1)
    by_name, by_id = dict(hybrid.aux_funcs() or []), dict(hybrid.aux_funcs(return_ids=True) or [])
    assert by_name == pytest.approx(
        {"lda_x": 0.08, "gga_x_b88": 0.72, "lda_c_vwn_rpa": 0.19, "gga_c_lyp": 0.81}
    )
    assert [libxc.names()[name] for name in by_name] == list(by_id)


def test_external_parameters() -> None:
    functional = pylibxc.LibXCFunctional("gga_x_pbe", "unpolarized")
    assert functional.get_ext_param_names() == ["_kappa", "_mu"]
    assert len(functional.get_ext_param_descriptions()) == 2
    defaults = functional.get_ext_param_default_values()
    inp = {"rho": np.array([0.3]), "sigma": np.array([0.2])}
    before = functional.compute(inp)["zk"].item()
    functional.set_ext_params([0.804, 0.0])  # without gradient correction: Slater's exchange
    slater = pylibxc.LibXCFunctional("lda_x", 1).compute(inp["rho"])["zk"].item()
    assert functional.compute(inp)["zk"].item() == pytest.approx(slater, rel=1e-14)
    functional.set_ext_params(defaults)
    assert functional.compute(inp)["zk"].item() == before
    with pytest.raises(ValueError, match="2"):
        functional.set_ext_params([1.0])
    with pytest.raises(ValueError, match="no external parameters"):
        pylibxc.LibXCFunctional("gga_x_g96", 1).set_ext_params([1.0])


def test_numbers_and_names() -> None:
    util = pylibxc.util
    assert util.xc_functional_get_number("XC_GGA_X_PBE") == 101
    assert util.xc_functional_get_number("gga_x_pbe") == 101
    assert util.xc_functional_get_number("gga_x_nothing") == -1
    assert util.xc_functional_get_number("PBE") == -1, "a pair of functionals has no number"
    assert util.xc_functional_get_name(101) == "gga_x_pbe"
    assert util.xc_functional_get_name(99_999) is None
    assert util.xc_family_from_id(101)[0] == pylibxc.flags.XC_FAMILY_GGA
    assert util.xc_family_from_id(99_999) == (0, 0)
    calls: list[tuple[Any, Any]] = [
        (util.xc_functional_get_number, 101),
        (util.xc_functional_get_name, "gga_x_pbe"),
        (util.xc_family_from_id, "gga_x_pbe"),
    ]
    for function, wrong in calls:
        with pytest.raises(TypeError):
            function(wrong)
    assert util.xc_version() == libxc.version()
    assert util.xc_reference_doi() == "10.1016/j.softx.2017.11.002"
    assert "Lehtola" in util.xc_reference()
    assert util.xc_reference_key().startswith("Lehtola2018")


def test_the_list_holds_libxcs_and_xcnets_functionals() -> None:
    util = pylibxc.util
    numbers, names = util.xc_available_functional_numbers(), util.xc_available_functional_names()
    assert numbers.dtype == np.intc
    assert (np.diff(numbers) > 0).all()
    assert util.xc_number_of_functionals() == len(numbers) == len(names) == len(set(names))
    own = [entry for entry in registry.entries() if entry.spec is not None]
    assert len(numbers) == len(libxc.names()) + len(own)
    assert {entry.id for entry in own} <= set(numbers.tolist())
    assert {entry.name for entry in own} | set(libxc.names()) == set(names)
    assert {util.xc_functional_get_number(name) for name in names} == set(numbers.tolist())


@pytest.mark.skipif(CLONE is None, reason="no neural functional is there")
def test_neural_functionals_by_name_and_number() -> None:
    assert CLONE is not None
    util, flags = pylibxc.util, pylibxc.flags
    number = util.xc_functional_get_number(f"XC_{CLONE.upper()}")
    assert number >= 100_000
    assert util.xc_functional_get_name(number) == CLONE
    assert util.xc_family_from_id(number) == (flags.XC_FAMILY_MGGA, -1)
    assert pylibxc.LibXCFunctional(number, 1)._xc_func_name == CLONE
    assert number in util.xc_available_functional_numbers()
    assert CLONE in util.xc_available_functional_names()


# -- a program -------------------------------------------------------------------------------


def program(pylibxc: ModuleType | Any, names: list[str], spin: str) -> dict[str, Any]:
    """Energy and potential of the hydrogen atom (polarized) or two of its electrons at once."""
    r = np.arange(3000) * 0.005 + 0.0025
    orbital = np.exp(-2 * r) / np.pi
    slope, tau, zero = -2 * orbital, orbital / 2, np.zeros_like(r)
    if spin == "polarized":
        inp = {
            "rho": np.stack([orbital, zero], axis=1),
            "sigma": np.stack([slope**2, zero, zero], axis=1),
            "tau": np.stack([tau, zero], axis=1),
        }
    else:
        inp = {"rho": 2 * orbital, "sigma": 4 * slope**2, "tau": 2 * tau}
    inp["lapl"] = np.zeros_like(inp["rho"])
    weights = 4 * np.pi * r**2 * 0.005
    total: dict[str, Any] = {}
    for name in names:
        func = pylibxc.LibXCFunctional(name, spin)
        if func.get_family() in (pylibxc.flags.XC_FAMILY_HYB_GGA, pylibxc.flags.XC_FAMILY_HYB_MGGA):
            total["exact exchange"] = func.get_hyb_exx_coef()
        has_second = bool(func.get_flags() & pylibxc.flags.XC_FLAGS_HAVE_FXC)
        func.set_dens_threshold(1e-14)
        ret = func.compute(inp, None, True, True, has_second)
        for key, value in ret.items():
            total[key] = total.get(key, 0) + value
    density = inp["rho"].reshape(r.size, -1).sum(axis=1)
    total["energy"] = float(np.sum(weights * density * total["zk"].ravel()))
    return total


PROGRAMS = [["lda_x", "lda_c_pw"], ["GGA_X_PBE", "GGA_C_PBE"], ["mgga_x_r2scan", "mgga_c_r2scan"]]
#: Slater's exchange of n = exp(-2r)/pi, fully polarized: -3/4 (6/pi)^(1/3) int n^(4/3) dr^3.
SLATER = -0.75 * (6 / np.pi) ** (1 / 3) * np.pi ** (-4 / 3) * 4 * np.pi * 2 / (8 / 3) ** 3


@pytest.mark.parametrize(
    ("names", "energy", "tolerance"),
    [
        (["lda_x"], SLATER, 1e-9),
        # Hydrogen has -5/16 Hartree of exchange and no correlation; PBE comes close, and r2SCAN
        # is fitted to it (doi:10.1021/acs.jpclett.0c02405).
        (PROGRAMS[1], -0.3125, 1e-3),
        (PROGRAMS[2], -0.3125, 3e-4),
    ],
)
def test_program_on_the_hydrogen_atom(names: list[str], energy: float, tolerance: float) -> None:
    result = program(pylibxc, names, "polarized")
    assert result["energy"] == pytest.approx(energy, abs=tolerance)
    assert "vlapl" not in result
    for label, count in {"zk": 1, "vrho": 2, "vsigma": 3, "vtau": 2, "v2rhosigma": 6}.items():
        if label in result:
            assert result[label].shape == (3000, count)


@pytest.mark.parametrize("name", ["lda_x", "GGA_X_PBE", "mgga_x_r2scan"])
def test_program_on_a_closed_shell(name: str) -> None:
    # Spin scaling of exchange, Phys. Rev. A 20, 397 (1979): two electrons have twice that of one.
    one, two = program(pylibxc, [name], "polarized"), program(pylibxc, [name], "unpolarized")
    assert two["energy"] == pytest.approx(2 * one["energy"], rel=1e-9)
    assert two["vrho"].shape == (3000, 1)


def test_program_with_a_hybrid() -> None:
    result = program(pylibxc, ["hyb_gga_xc_b3lyp"], "polarized")
    assert result["exact exchange"] == pytest.approx(0.2)
    # Nothing but the missing fifth of exact exchange separates it from hydrogen's energy.
    assert result["energy"] - 0.2 * 0.3125 == pytest.approx(-0.3125, abs=0.01)


def test_program_gives_what_a_real_pylibxc_gives() -> None:
    real = pytest.importorskip("pylibxc", reason="there is no wheel of pylibxc")
    for names in PROGRAMS:
        for spin in ("unpolarized", "polarized"):
            ours, theirs = program(pylibxc, names, spin), program(real, names, spin)
            assert set(ours) <= set(theirs)  # pylibxc 6 gives the empty labels of lapl, too
            for label, values in ours.items():
                np.testing.assert_allclose(values, theirs[label], rtol=1e-12, atol=1e-14)


@pytest.mark.skipif(CLONE is None, reason="no neural functional is there")
@pytest.mark.parametrize("spin", ["unpolarized", "polarized"])
def test_program_with_a_neural_functional(spin: str) -> None:
    assert CLONE is not None
    result = program(pylibxc, [CLONE], spin)
    assert list(result)[:4] == ["zk", "vrho", "vsigma", "vtau"]
    assert np.isfinite(result["energy"])


def test_a_script_changes_one_line_only() -> None:
    script = """
        import numpy as np
        import xcnet.compat.pylibxc as pylibxc
        func = pylibxc.LibXCFunctional("gga_c_pbe", "unpolarized")
        inp = {"rho": np.array([0.1, 0.2, 0.3]), "sigma": np.array([0.1, 0.2, 0.3])}
        ret = func.compute(inp)
        for key, value in ret.items():
            print(key, value.shape, round(float(value.sum()), 12))
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.stderr == ""
    assert [line.split(" (")[0] for line in done.stdout.splitlines()] == ["zk", "vrho", "vsigma"]
