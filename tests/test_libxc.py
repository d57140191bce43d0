"""The binding of libxc: where it is found, what it says of a functional, raw evaluation."""

from __future__ import annotations

import ctypes.util
import gc
import json
import os
import pickle
import shutil
import subprocess
import sys
import textwrap
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import libxc_oracle
from xcnet import libxc, variables
from xcnet._libxc_signatures import REQUIRED
from xcnet.errors import (
    ArgumentTypeError,
    DerivativeError,
    InputError,
    LibxcNotFoundError,
    MissingInputError,
    SpinError,
    UnknownFunctionalError,
    UnsupportedError,
)

Array = NDArray[np.float64]
ROOT = Path(__file__).resolve().parent.parent


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
    )


def buffers(functional: libxc.Functional, points: int, *orders: int) -> dict[str, Array]:
    return {
        label: np.full((points, variables.width(label, functional.spin)), np.nan)
        for order in orders
        for label in variables.labels(functional.family_variables, order)
    }


def evaluate(
    functional: libxc.Functional, inputs: dict[str, Array], *orders: int
) -> dict[str, Array]:
    outputs = buffers(functional, len(inputs["rho"]), *orders)
    functional.evaluate(inputs, outputs)
    return outputs


# -- finding it ------------------------------------------------------------------------------


def test_loading_imports_no_host() -> None:
    done = run_python(
        """
        import sys
        from xcnet import libxc
        libxc.library()
        print(sorted({"pyscf", "torch", "onnxruntime", "scipy"} & set(sys.modules)))
        """
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("/nowhere/libxc.so", "not a file"),
        (str(ROOT), "not a file"),
        (__file__, "not a usable libxc"),
        (ctypes.util.find_library("m") or "", "not a file"),
    ],
)
def test_a_given_library_that_is_bad_is_an_error(
    given: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XCNET_LIBXC", given)
    with pytest.raises(LibxcNotFoundError, match=words) as caught:
        libxc.library.__wrapped__()
    assert "XCNET_LIBXC" in str(caught.value)
    assert given in str(caught.value)
    assert isinstance(caught.value, ImportError)


def test_a_given_library_is_used_and_an_empty_name_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XCNET_LIBXC", "")
    path = libxc.library.__wrapped__().path
    monkeypatch.setenv("XCNET_LIBXC", path)
    assert libxc.library.__wrapped__().path == path


def test_no_library_at_all_explains_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XCNET_LIBXC", raising=False)
    monkeypatch.setattr("xcnet._libxc_library._candidates", lambda: iter(["libxc.so.none"]))
    with pytest.raises(LibxcNotFoundError, match=r"XCNET_LIBXC.*libxc\.so\.none"):
        libxc.library.__wrapped__()


@pytest.fixture(scope="module")
def fake_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library with libxc's function names that says it is libxc 4.3.4."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("fake")
    empty = "\n".join(f"void {name}(void) {{}}" for name in REQUIRED if "version" not in name)
    source = (
        "void xc_version(int *a, int *b, int *c) { *a = 4; *b = 3; *c = 4; }\n"
        'const char *xc_version_string(void) { return "4.3.4"; }\n' + empty
    )
    (folder / "fake.c").write_text(source)
    library = folder / "libxc.so"
    command = [compiler, "-shared", "-fPIC", "-o", str(library), str(folder / "fake.c")]
    subprocess.run(command, check=True)
    return library


def test_too_old_a_libxc_is_refused(fake_library: Path) -> None:
    with pytest.raises(LibxcNotFoundError, match=r"libxc 4\.3\.4; 5\.0 or newer"):
        libxc.Library(str(fake_library))


SYSTEM_LIBXC = next(
    (
        str(folder / name)
        for folder in map(Path, ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"))
        for name in ("libxc.so.9", "libxc.so.12", "libxc.so.15")
        if (folder / name).is_file()
    ),
    None,
)
needs_system_libxc = pytest.mark.skipif(
    SYSTEM_LIBXC is None, reason="no libxc of the system (apt-get install libxc9)"
)


@needs_system_libxc
def test_an_older_libxc_gives_the_same_numbers() -> None:
    code = """
        import json
        import numpy as np
        from tests import libxc_oracle
        from xcnet import libxc, variables
        facts, values = [], []
        for name in ("lda_c_pw", "gga_x_pbe", "mgga_x_tpss", "hyb_gga_xc_b3lyp"):
            for spin in (1, 2):
                f = libxc.Functional(name, spin)
                inputs = libxc_oracle.densities(5, spin, 3)
                labels = variables.requested_labels(f.family_variables, (True, True, True))
                out = {x: np.empty((5, variables.width(x, spin))) for x in labels}
                f.evaluate(inputs, out)
                facts.append([name, *f.family_variables, f.needs_tau, *f.cam_coef()])
                facts.append([[c.doi, bool(c.key)] for c in f.citations])
                values.append(np.concatenate([a.ravel() for a in out.values()]).tolist())
        print(json.dumps([libxc.version(), facts, values]))
    """
    assert SYSTEM_LIBXC is not None
    runs = [run_python(code), run_python(code, XCNET_LIBXC=SYSTEM_LIBXC)]
    assert not any(run.returncode for run in runs), [run.stderr for run in runs]
    (_, facts, values), (_, old_facts, old_values) = (json.loads(run.stdout) for run in runs)
    assert facts == old_facts
    for given, expected in zip(values, old_values, strict=True):
        # Both are libxc: versions differ by the rounding of rewritten expressions.
        np.testing.assert_allclose(given, expected, rtol=1e-9, atol=1e-13)


@needs_system_libxc
def test_a_derivative_that_the_build_lacks_is_refused_not_fatal() -> None:
    code = """
        import numpy as np
        from xcnet import libxc
        from xcnet.errors import DerivativeError, UnsupportedError
        f = libxc.Functional("lda_x", 1)
        try:
            f.evaluate({"rho": np.ones((1, 1))}, {"v3rho3": np.ones((1, 1))})
        except DerivativeError as error:
            print(error.context["given"], f.orders[3])
        else:
            print("kxc", f.orders[3] is False)
        try:
            f.set_fhc_enforcement(True)
        except UnsupportedError:
            assert libxc.version() < (7,)
        else:
            assert libxc.version() >= (7,)
    """
    assert SYSTEM_LIBXC is not None
    done = run_python(code, XCNET_LIBXC=SYSTEM_LIBXC)
    assert done.stdout.split() == ["kxc", "False"], done.stderr


# -- facts -----------------------------------------------------------------------------------


def test_library_facts() -> None:
    library = libxc.library()
    assert library is libxc.library()
    assert libxc.version() == tuple(int(x) for x in libxc.version_string().split("."))
    assert libxc.reference().doi == "10.1016/j.softx.2017.11.002"
    assert libxc.reference().key.startswith("Lehtola2018")
    assert "Lehtola" in libxc.reference().ref
    assert library.path in repr(library)
    assert libxc.names()["gga_x_pbe"] == 101
    assert len(library.numbers) == len(libxc.names()) > 600
    assert all(name == name.lower() for name in libxc.names())
    assert libxc.family_from_id(101)[0] == variables.FAMILY_GGA
    assert libxc.family_from_id(99_999) == (0, 0)


def test_every_functional_says_what_libxc_says() -> None:
    path = libxc.library().path
    for name, number in libxc.names().items():
        functional, oracle = libxc.Functional(name, 1), libxc_oracle.Oracle(path, number, 1)
        assert (functional.number, functional.name) == (number, name)
        assert functional.description == oracle.name
        assert functional.kind == oracle.kind
        assert functional.family == oracle.family
        assert functional.flags == oracle.flags
        assert functional.orders[:4] == tuple(o in oracle.orders for o in libxc_oracle.ORDERS)
        labels = variables.labels(functional.family_variables, 1)
        assert labels == tuple(
            label for label in oracle.labels("vxc") if "tau" not in label or oracle.depends_on_tau()
        )
        assert 1 <= len(functional.citations) <= 5
        assert len(functional.ext_param_names) == len(functional.ext_param_defaults)
        assert len(functional.ext_param_names) == len(functional.ext_param_descriptions)
        oracle.close()


def test_citations() -> None:
    first, second = libxc.Functional("gga_x_pbe", 1).citations
    assert first.key == "Perdew1996_3865"
    assert first.doi == "10.1103/PhysRevLett.77.3865"
    assert first.ref.startswith("J. P. Perdew, K. Burke, and M. Ernzerhof")
    assert first.bibtex.startswith("@article{Perdew1996_3865,")
    assert second.doi == "10.1103/PhysRevLett.78.1396"


@pytest.mark.parametrize(
    "spelling", ["GGA_X_PBE", " gga_x_pbe", "XC_GGA_X_PBE", 101, np.int32(101)]
)
def test_spellings(spelling: str | int) -> None:
    assert libxc.Functional(spelling, 2).name == "gga_x_pbe"


def test_unknown_functionals_and_spins() -> None:
    with pytest.raises(UnknownFunctionalError, match="gga_x_pbe_sol") as caught:
        libxc.Functional("gga_x_pbesol", 1)
    assert isinstance(caught.value, KeyError)
    for unknown in (99_999, 0, -1):
        with pytest.raises(UnknownFunctionalError, match=str(unknown)):
            libxc.Functional(unknown, 1)
    for wrong in (1.0, None, True):
        with pytest.raises(ArgumentTypeError, match=type(wrong).__name__):
            libxc.Functional(wrong, 1)  # type: ignore[arg-type]
    with pytest.raises(SpinError, match="3"):
        libxc.Functional("lda_x", 3)


def test_exact_exchange_range_separation_and_vv10() -> None:
    # Published parameters: doi:10.1021/j100096a001, 10.1016/j.cplett.2004.06.011 and
    # 10.1039/c3cp54374a; libxc's alpha is the long-range share, alpha + beta the short-range one.
    assert libxc.Functional("hyb_gga_xc_b3lyp", 1).hyb_exx_coef() == pytest.approx(0.2)
    cam = libxc.Functional("hyb_gga_xc_cam_b3lyp", 1)
    assert cam.cam_coef() == pytest.approx((0.33, 0.65, -0.46))
    assert cam.flags & variables.FLAG_HYB_CAM
    vv10 = libxc.Functional("hyb_gga_xc_wb97x_v", 1)
    assert vv10.nlc_coef() == pytest.approx((6.0, 0.01))
    pbe = libxc.Functional("gga_x_pbe", 1)
    assert (pbe.hyb_exx_coef(), pbe.cam_coef(), pbe.nlc_coef()) == (0, (0, 0, 0), (0, 0))


def test_auxiliary_functionals() -> None:
    parts = dict(libxc.Functional("hyb_gga_xc_b3lyp", 1).aux_funcs())
    numbers = libxc.names()
    assert parts == pytest.approx(
        {
            numbers["lda_x"]: 0.08,
            numbers["gga_x_b88"]: 0.72,
            numbers["lda_c_vwn_rpa"]: 0.19,
            numbers["gga_c_lyp"]: 0.81,
        }
    )
    assert libxc.Functional("gga_x_pbe", 1).aux_funcs() == ()


# -- settings --------------------------------------------------------------------------------


def test_external_parameters_change_the_functional() -> None:
    functional = libxc.Functional("gga_x_pbe", 1)
    assert functional.ext_param_names == ("_kappa", "_mu")
    assert functional.ext_param_defaults == pytest.approx((0.804, 0.2195149727645171))
    assert all(functional.ext_param_descriptions)
    inputs = libxc_oracle.densities(3, 1, 0)
    before = evaluate(functional, inputs, 0)["zk"]
    # With kappa of revPBE, Phys. Rev. Lett. 80, 890 (1998).
    functional.set_ext_params([1.245, functional.ext_param_defaults[1]])
    after = evaluate(functional, inputs, 0)["zk"]
    revised = evaluate(libxc.Functional("gga_x_pbe_r", 1), inputs, 0)["zk"]
    assert not np.allclose(before, after, rtol=1e-6)
    np.testing.assert_allclose(after, revised, rtol=1e-13)
    other = evaluate(libxc.Functional("gga_x_pbe", 1), inputs, 0)["zk"]
    np.testing.assert_array_equal(other, before)


def test_wrong_external_parameters() -> None:
    functional = libxc.Functional("gga_x_pbe", 1)
    for wrong in ([1.0], [1.0, np.nan], [1.0, 2.0, 3.0]):
        with pytest.raises(InputError, match="takes 2 finite external parameters"):
            functional.set_ext_params(wrong)
    with pytest.raises(InputError, match="has no external parameters"):
        libxc.Functional("gga_x_g96", 1).set_ext_params([])
    assert not functional.settings


def test_density_threshold() -> None:
    functional = libxc.Functional("lda_x", 1)
    inputs = {"rho": np.array([[1e-3], [1e-1], [0.0], [-1.0]])}
    functional.set_dens_threshold(1e-2)
    zk = evaluate(functional, inputs, 0)["zk"].ravel()
    assert zk[0] == zk[2] == zk[3] == 0.0
    assert zk[1] < 0
    functional.set_dens_threshold(0)  # libxc keeps what it has
    assert functional.settings["dens"] == 0


@pytest.mark.parametrize("name", ["dens", "zeta", "sigma", "tau"])
def test_thresholds_must_not_be_negative(name: str) -> None:
    functional = libxc.Functional("mgga_x_tpss", 2)
    setter = getattr(functional, f"set_{name}_threshold")
    setter(1e-9)
    assert functional.settings == {name: 1e-9}
    for wrong in (-1e-9, float("nan")):
        with pytest.raises(InputError, match=name):
            setter(wrong)
    assert functional.settings == {name: 1e-9}


def test_fermi_hole_curvature_enforcement() -> None:
    functional = libxc.Functional("mgga_x_tpss", 1)
    if libxc.version() < (7,):
        with pytest.raises(UnsupportedError, match="libxc 7"):
            functional.set_fhc_enforcement(True)
        return
    # A kinetic energy density below von Weizsaecker's, which no electrons have.
    inputs = {"rho": np.ones((1, 1)), "sigma": np.full((1, 1), 8.0), "tau": np.full((1, 1), 0.5)}
    allowed = dict(inputs, sigma=np.full((1, 1), 4.0))
    functional.set_fhc_enforcement(True)
    assert functional.flags & variables.FLAG_ENFORCE_FHC
    on = [evaluate(functional, x, 0)["zk"].item() for x in (inputs, allowed)]
    functional.set_fhc_enforcement(False)
    assert not functional.flags & variables.FLAG_ENFORCE_FHC
    off = [evaluate(functional, x, 0)["zk"].item() for x in (inputs, allowed)]
    assert on[0] == on[1] == off[1] != off[0]


def test_pickle_keeps_the_settings() -> None:
    functional = libxc.Functional("gga_x_pbe", 2)
    functional.set_ext_params([1.0, 0.2])
    functional.set_dens_threshold(1e-3)
    copy = pickle.loads(pickle.dumps(functional))
    assert copy.settings == functional.settings
    assert repr(copy) == repr(functional)
    inputs = libxc_oracle.densities(50, 2, 1)
    expected = evaluate(functional, inputs, 0, 1)
    for label, values in evaluate(copy, inputs, 0, 1).items():
        np.testing.assert_array_equal(values, expected[label])


# -- evaluation ------------------------------------------------------------------------------


@pytest.mark.parametrize("spin", [1, 2])
def test_every_functional_against_direct_calls(spin: int) -> None:
    """All functionals, every order that the build has, all together and each alone."""
    path = libxc.library().path
    inputs = libxc_oracle.densities(6, spin, 2)
    for name, number in libxc.names().items():
        functional = libxc.Functional(name, spin)
        oracle = libxc_oracle.Oracle(path, number, spin)
        orders = [libxc_oracle.ORDERS.index(order) for order in oracle.orders]
        together = evaluate(functional, inputs, *orders)
        for order in orders:
            alone = evaluate(functional, inputs, order)
            expected = oracle.compute(inputs, libxc_oracle.ORDERS[order])
            assert set(alone) <= set(expected)
            for label, values in alone.items():
                message = f"{name} {label}"
                np.testing.assert_array_equal(values, expected[label], message)
                np.testing.assert_array_equal(together[label], values, message)
        oracle.close()


def test_inputs_are_not_changed_and_others_are_ignored() -> None:
    functional = libxc.Functional("gga_x_pbe", 2)
    inputs = libxc_oracle.densities(20, 2, 4)
    inputs["rho"][3] = inputs["sigma"][4, 1] = -5.0
    copies = {name: array.copy() for name, array in inputs.items()}
    evaluate(functional, inputs, 0, 1, 2)
    for name, array in inputs.items():
        np.testing.assert_array_equal(array, copies[name])


def test_no_points_and_no_outputs() -> None:
    functional = libxc.Functional("lda_x", 2)
    assert evaluate(functional, {"rho": np.empty((0, 2))}, 0, 1)["vrho"].shape == (0, 2)
    functional.evaluate({"rho": np.ones((1, 2))}, {})


def test_what_libxc_would_crash_on_is_refused() -> None:
    functional = libxc.Functional("gga_x_pbe", 2)
    good = libxc_oracle.densities(3, 2, 5)
    with pytest.raises(MissingInputError, match="'sigma'"):
        evaluate(functional, {"rho": good["rho"]}, 0)
    bad_inputs: list[Any] = [
        good["sigma"][:2],
        good["sigma"].astype(np.float32),
        np.asfortranarray(good["sigma"]),
    ]
    for sigma in bad_inputs:
        with pytest.raises(InputError, match="sigma must be a C-contiguous float64 array of 9"):
            evaluate(functional, {**good, "sigma": sigma}, 0)
    read_only = np.zeros((3, 1))
    read_only.flags.writeable = False
    bad_outputs: list[Any] = [np.zeros((3, 2)), np.zeros((3, 1), dtype=np.float32), read_only]
    for zk in bad_outputs:
        with pytest.raises(InputError, match="zk must be a C-contiguous writeable float64"):
            functional.evaluate(good, {"zk": zk})
    with pytest.raises(InputError, match="vrho, vsigma"):
        functional.evaluate(good, {"vrho": np.zeros((3, 2))})
    with pytest.raises(InputError, match="no output 'vtau'"):
        functional.evaluate(good, {"zk": np.zeros((3, 1)), "vtau": np.zeros((3, 2))})


def test_derivatives_that_are_not_there_are_refused() -> None:
    inputs = libxc_oracle.densities(3, 1, 5)
    with pytest.raises(DerivativeError, match=r"mgga_x_tb09 has no exc.*available: vxc"):
        evaluate(libxc.Functional("mgga_x_tb09", 1), inputs, 0, 1)
    functional = libxc.Functional("lda_x", 1)
    missing = [order for order, have in enumerate(functional.orders) if not have]
    for order in missing:
        with pytest.raises(DerivativeError, match=variables.ORDERS[order]):
            evaluate(functional, inputs, order)


def test_threads_may_evaluate_while_settings_change() -> None:
    functional = libxc.Functional("mgga_c_r2scan", 2)
    inputs = libxc_oracle.densities(400, 2, 6)
    functional.set_dens_threshold(1e-10)
    expected = evaluate(functional, inputs, 0, 1)

    def work(number: int) -> bool:
        if number % 4 == 0:
            functional.set_dens_threshold(1e-10)
        result = evaluate(functional, inputs, 0, 1)
        return all(np.array_equal(result[label], expected[label]) for label in expected)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(200)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_works_after_a_fork() -> None:
    done = run_python(
        """
        import os
        import numpy as np
        from xcnet import libxc
        f = libxc.Functional("lda_x", 1)
        def zk():
            out = {"zk": np.empty((1, 1))}
            f.evaluate({"rho": np.ones((1, 1))}, out)
            return out["zk"].item()
        before, child = zk(), os.fork()
        if child == 0:
            f.set_dens_threshold(1e-9)
            os._exit(0 if zk() == before else 1)
        print(os.waitpid(child, 0)[1], zk() == before)
        """
    )
    assert done.stdout.split() == ["0", "True"], done.stderr


def test_handles_are_freed() -> None:
    functional = libxc.Functional("hyb_gga_xc_b3lyp", 1)
    first = weakref.ref(functional._handle)
    functional.set_dens_threshold(1e-9)
    gc.collect()
    assert first() is None, "the handle that the setting replaced"
    second = weakref.ref(functional._handle)
    del functional
    gc.collect()
    assert second() is None
