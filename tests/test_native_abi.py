"""libxcnet gives what Python gives, in hosts of libxc 5 and 7, and leaves libxc's own alone."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from ctypes import byref, c_char, c_char_p, c_double, c_int, c_void_p
from pathlib import Path

import numpy as np
import pytest

import xcnet
from tests.densities import random_densities
from tests.folders import MODELS, copy_folder
from tests.libxc_oracle import Oracle
from tests.libxc_oracle import densities as libxc_densities
from tests.native_client import COMBINATIONS, HOSTS, Client, built_library, libxc_of
from xcnet import density, engine, native, variables
from xcnet.density import Array
from xcnet.sample import Scales

CLONES = sorted(path.name for path in MODELS.iterdir())
HYBRID, CAM = "hyb_gga_x_copy", "hyb_gga_x_cam_copy"
INSTALLED = [*CLONES, HYBRID, CAM, "mgga_xc_nn_r2scan"]
#: Of libxc itself, of every family, with parts of its own (B3LYP) and external parameters.
LIBXCS_OWN = [1, 101, 202, 203, 402, 427, 497]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clones, and hybrids of one of them."""
    folder = tmp_path_factory.mktemp("models")
    for path in MODELS.iterdir():
        (folder / path.name).symlink_to(path)
    exchange = {"coefficient": 0.25, "omega": 0.0, "alpha": 0.0, "beta": 0.0}
    copy_folder(folder, HYBRID, id=199101, family="hyb_gga", exact_exchange=exchange)
    exchange = {"coefficient": 0.0, "omega": 0.33, "alpha": 0.19, "beta": 0.46}
    copy_folder(folder, CAM, id=199102, family="hyb_gga", exact_exchange=exchange)
    return folder


@pytest.fixture(scope="module", params=HOSTS)
def compiled(
    request: pytest.FixtureRequest, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    """A program linked to libxc 5 or 7 whose imports lead to xcnet."""
    built_library()
    folder = tmp_path_factory.mktemp(f"libxc{request.param}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XCNET_MODEL_PATH", str(models))
        patch.setenv("XDG_CACHE_HOME", str(folder))
        made = Client(folder, libxc_of(request.param))
        yield made
        native.unpatch(made.path.name)


@pytest.fixture
def client(compiled: Client) -> Client:
    """The program, with all models known."""
    native.take_error()
    assert native.load() == len(native.specs())
    return compiled


@pytest.fixture(autouse=True)
def no_error() -> Iterator[None]:
    """No test leaves an error behind that it did not look at."""
    yield
    assert native.take_error() == ""


def hard_densities(points: int, seed: int) -> dict[str, Array]:
    """Polarized variables of every kind: ordinary points, tails, empty channels, broken bounds."""
    given = random_densities(points, seed)
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 8, points)
    tail = group == 1
    scale = 10.0 ** rng.uniform(-18, -3, points)
    for name, power in (("rho", 1.0), ("sigma", 8 / 3), ("tau", 5 / 3), ("lapl", 5 / 3)):
        given[name][tail] *= scale[tail, None] ** power
    for channel, number in ((0, 2), (1, 3)):
        empty = group == number
        given["rho"][empty, channel] = rng.choice([0.0, 1e-29, -1e-30], empty.sum())
        given["tau"][empty, channel] = 0.0
        given["sigma"][empty, 2 * channel] = given["sigma"][empty, 1] = 0.0
    given["rho"][group == 4] = rng.choice([0.0, 1e-20, -1e-3], (group == 4).sum())[:, None]
    given["sigma"][group == 5] = 0.0
    given["tau"][group == 6] *= 0.01
    given["sigma"][group == 7, 1] *= 100.0
    return given


def one_spin(given: dict[str, Array]) -> dict[str, Array]:
    """The same points as closed shells."""
    return {name: np.ascontiguousarray(array[:, :1]) for name, array in given.items()}


class Expected:
    """Python's results for densities, and how far they may be missed."""

    def __init__(self, name: str, given: dict[str, Array], spin: int) -> None:
        self._name, self._given, self._spin = name, given, spin
        self._known: dict[int, tuple[dict[str, Array], dict[str, Array]]] = {}

    def _values(self, order: int) -> tuple[dict[str, Array], dict[str, Array]]:
        """Results of the graph of an order, and the sums of their terms' absolute values."""
        functional = xcnet.LibXCFunctional(self._name, self._spin)
        flags = {f"do_{o}": i <= order for i, o in enumerate(variables.ORDERS)}
        inputs = {v: self._given[v] for v in functional.inputs}
        with pytest.MonkeyPatch.context() as patch:
            if order == 3:  # the library has tapes up to second derivatives
                patch.setenv(engine.ENGINE_VARIABLE, engine.RUNTIME)
            values = functional.compute(inputs, **flags)
            if self._spin == variables.POLARIZED:
                return values, values
            # Of the terms that give a closed shell's value much may cancel.
            polarized = xcnet.LibXCFunctional(self._name, 2)
            parts = polarized.compute(density.spin_resolved(inputs), **flags)
        return values, {label: density.fold(label, abs(part)) for label, part in parts.items()}

    def check(self, results: dict[str, Array]) -> None:
        """Equal to 1e-12, for every label that both have."""
        order = max(sum(power for _, power in variables.powers(label)) for label in results)
        if order not in self._known:
            self._known[order] = self._values(order)
        values, terms = self._known[order]
        common = results.keys() & values.keys()
        assert common
        for label in common:
            error = abs(results[label] - values[label])
            assert (error <= 1e-12 * abs(terms[label])).all(), (label, error.max())


# -- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize("spin", [1, 2])
@pytest.mark.parametrize("name", INSTALLED)
def test_values(client: Client, name: str, spin: int) -> None:
    given = hard_densities(300, seed=spin)
    given = one_spin(given) if spin == 1 else given
    expected = Expected(name, given, spin)
    with client.open(name, spin) as handle:
        for suffix, orders in COMBINATIONS.items():
            if "lxc" not in orders:
                expected.check(handle.compute(given, suffix))
        wanted = ["zk", "vrho"] + ["v2rhosigma"] * (handle.base != "lda")
        some = handle.compute(given, "", wanted)
        assert list(some) == wanted
        expected.check(some)


@pytest.mark.parametrize("spin", [1, 2])
def test_published_functional(
    client: Client, nagai2020_models: Path, monkeypatch: pytest.MonkeyPatch, spin: int
) -> None:
    monkeypatch.setenv("XCNET_MODEL_PATH", str(nagai2020_models))
    native.load()
    given = hard_densities(2100, seed=3)
    given = one_spin(given) if spin == 1 else given
    with client.open("NN-metaGGA-Nagai2020", spin) as handle:
        results = handle.compute(given)
    Expected("mgga_xc_nn_metagga_nagai2020", given, spin).check(results)


@pytest.mark.parametrize("name", ["gga_xc_pbe_clone", "mgga_xc_nn_r2scan"])
def test_spin_swap(client: Client, name: str) -> None:
    given = random_densities(100, seed=5)
    with client.open(name, 2) as handle:
        here = handle.compute(given)
        there = handle.compute({v: np.ascontiguousarray(a[:, ::-1]) for v, a in given.items()})
    scales = Scales(given, here["zk"])
    for label, array in here.items():
        for column, values in enumerate(array.T):
            error = abs(there[label][:, ::-1][:, column] - values)
            assert (error <= 1e-12 * scales.of(label, column, values)).all(), (label, column)


@pytest.mark.parametrize("points", [0, 1, 7, 2047, 2049])
def test_number_of_points(client: Client, points: int) -> None:
    """A point's result is the same to the last bit whichever points are beside it."""
    given = random_densities(2100, seed=6)
    with client.open("mgga_xc_nn_r2scan", 2) as handle:
        whole = handle.compute(given)
        part = handle.compute({v: a[:points] for v, a in given.items()})
    assert all((part[label] == whole[label][:points]).all() for label in whole)


@pytest.mark.parametrize("what", ["dens", "zeta", "sigma", "tau"])
def test_thresholds(client: Client, what: str) -> None:
    name, given = "mgga_x_tpss_clone", hard_densities(200, seed=7)
    functional = xcnet.LibXCFunctional(name, 2)
    value = {"dens": 1e-5, "zeta": 1e-2, "sigma": 1e-2, "tau": 1e-2}[what]
    with client.open(name, 2) as handle:
        before = handle.compute(given)
        handle.set(what, 0.0)
        handle.set(what, -1.0)
        assert all((handle.compute(given)[k] == v).all() for k, v in before.items())
        handle.set(what, value)
        after = handle.compute(given)
    getattr(functional, f"set_{what}_threshold")(value)
    expected = functional.compute({v: given[v] for v in functional.inputs})
    assert any((after[k] != before[k]).any() for k in expected)
    for label, array in expected.items():
        np.testing.assert_allclose(after[label], array, rtol=1e-12)


def test_fermi_hole_curvature(client: Client) -> None:
    name, given = "mgga_x_tpss_clone", hard_densities(200, seed=8)
    functional = xcnet.LibXCFunctional(name, 2)
    functional.set_fhc_enforcement(False)
    with client.open(name, 2) as handle:
        before = handle.compute(given)
        client.call("xc_func_set_fhc_enforcement", handle.pointer, 0)
        after = handle.compute(given)
    expected = functional.compute({v: given[v] for v in functional.inputs})
    assert (after["zk"] != before["zk"]).any()
    np.testing.assert_allclose(after["zk"], expected["zk"], rtol=1e-12)


def test_laplacian_is_left_alone(client: Client) -> None:
    """As libxc does where a functional does not depend on it."""
    with client.open("mgga_xc_nn_r2scan", 1) as handle:
        assert (handle.compute(one_spin(random_densities(3)))["vlapl"] == 7.0).all()


# -- what a functional says about itself -------------------------------------------------------


@pytest.mark.parametrize("name", INSTALLED)
def test_info(client: Client, name: str) -> None:
    functional = xcnet.LibXCFunctional(name, 1)
    with client.open(name, 1) as handle:
        for fact in ("number", "kind", "family", "flags"):
            answer = client.call(f"xc_func_info_get_{fact}", handle.info)
            assert answer == getattr(functional, f"get_{fact}")()
        assert client.call("xc_func_info_get_name", handle.info).decode() == functional.get_name()
        for i, citation in enumerate(functional.citations):
            reference = c_void_p(client.call("xc_func_info_get_references", handle.info, i))
            for part, text in zip(
                ("ref", "doi", "bibtex", "key"),
                (citation.text, citation.doi, citation.bibtex, citation.key),
                strict=True,
            ):
                answer = client.call(f"xc_func_reference_get_{part}", reference)
                assert answer.decode() == text
        for i in (len(functional.citations), 5, -1):
            assert not client.call("xc_func_info_get_references", handle.info, i)
        assert client.call("xc_func_info_get_n_ext_params", handle.info) == 0
        assert client.call("xc_func_info_get_ext_params_name", handle.info, 0) is None
        assert client.call("xc_num_aux_funcs", handle.pointer) == 0


def test_info_as_the_host_reads_it(client: Client) -> None:
    """Hosts read the first members of libxc's structure themselves."""

    class Info(ctypes.Structure):
        _fields_ = (
            ("number", c_int),
            ("kind", c_int),
            ("name", c_char_p),
            ("family", c_int),
            ("refs", ctypes.POINTER(c_char_p) * 5),
            ("flags", c_int),
            ("dens_threshold", c_double),
        )

    with client.open("gga_x_pbe_clone", 2) as handle:
        pointer = ctypes.cast(handle.pointer, ctypes.POINTER(ctypes.POINTER(Info)))
        info = pointer.contents.contents
        functional = xcnet.LibXCFunctional("gga_x_pbe_clone", 2)
        assert ctypes.addressof(info) == handle.info.value
        assert (info.number, info.kind, info.family) == (190002, 0, variables.FAMILY_GGA)
        assert (info.flags, info.dens_threshold) == (functional.get_flags(), 1e-15)
        assert info.name.decode() == functional.get_name()
        assert info.refs[0].contents.value.decode() == functional.get_references()[0]
        assert not info.refs[1]


@pytest.mark.parametrize(
    ("name", "type_", "coefficient", "cam"),
    [
        ("gga_x_pbe_clone", 0, 0.0, (0.0, 0.0, 0.0)),
        (HYBRID, 1, 0.25, (0.0, 0.25, 0.0)),
        (CAM, 2, 0.19, (0.33, 0.19, 0.46)),
    ],
)
def test_exact_exchange(
    client: Client, name: str, type_: int, coefficient: float, cam: tuple[float, float, float]
) -> None:
    coefficients = [c_double(7.0) for _ in range(3)]
    with client.open(name, 1) as handle:
        assert client.call("xc_hyb_type", handle.pointer) == type_
        assert client.call("xc_hyb_exx_coef", handle.pointer) == coefficient
        client.call("xc_hyb_cam_coef", handle.pointer, *map(byref, coefficients))
        assert tuple(value.value for value in coefficients) == cam
        client.call("xc_nlc_coef", handle.pointer, byref(coefficients[0]), byref(coefficients[1]))
        assert coefficients[0].value == coefficients[1].value == 0.0


def test_names(client: Client) -> None:
    for spec in native.specs():
        if spec.is_nonlocal:  # no program could bring the grid
            assert client.call("xc_functional_get_number", spec.name.encode()) == -1
            assert "whole grid" in native.take_error()
            continue
        spellings = spec.name.upper(), f"XC_{spec.name}", spec.name.replace("_", "-")
        for name in (spec.name, *spellings, *spec.aliases):
            assert client.call("xc_functional_get_number", name.encode()) == spec.id
        copy = c_void_p(client.call("xc_functional_get_name", spec.id))
        assert ctypes.cast(copy, c_char_p).value == spec.name.encode()
        ctypes.CDLL(None).free(copy)
        family = c_int()
        number = variables.FAMILIES[spec.family]
        assert client.call("xc_family_from_id", spec.id, byref(family), None) == number
        assert family.value == number
    assert client.call("xc_functional_get_number", b"no_such_functional") == -1
    assert client.call("xc_functional_get_name", 199999) is None
    assert client.call("xc_family_from_id", 199999, None, None) == -1


def test_lists(client: Client) -> None:
    """Both lists by name are parallel; libxc's own functionals come first, unchanged."""
    real = ctypes.CDLL(str(client.libxc))
    own = {spec.id: spec.name for spec in native.specs() if not spec.is_nonlocal}
    count, before = client.call("xc_number_of_functionals"), real.xc_number_of_functionals()
    assert count == before + len(own)
    length = client.call("xc_maximum_name_length")
    assert length == max(real.xc_maximum_name_length(), *map(len, own.values()))
    numbers, by_name, expected = (c_int * count)(), (c_int * count)(), (c_int * before)()
    client.call("xc_available_functional_numbers", numbers)
    client.call("xc_available_functional_numbers_by_name", by_name)
    real.xc_available_functional_numbers(expected)
    assert list(numbers) == sorted(numbers) == [*expected, *sorted(own)]
    names = [(c_char * (length + 1))() for _ in range(count)]
    client.call("xc_available_functional_names", (c_void_p * count)(*map(ctypes.addressof, names)))
    result = dict(zip(by_name, (name.value.decode() for name in names), strict=True))
    assert {number: result[number] for number in own} == own
    assert result[101].lower() == "gga_x_pbe"


# -- libxc's own functionals -------------------------------------------------------------------


@pytest.mark.parametrize("number", LIBXCS_OWN)
def test_libxcs_own_are_bitwise_the_same(client: Client, number: int) -> None:
    for spin in (1, 2):
        oracle = Oracle(str(client.libxc), number, spin)
        given = libxc_densities(50, spin, seed=number)
        with client.open(number, spin) as handle:
            assert client.call("xc_func_info_get_name", handle.info).decode() == oracle.name
            # The oracle adds a flag that libxc 5 does not know.
            assert client.call("xc_func_info_get_flags", handle.info) in (
                oracle.flags,
                oracle.flags & ~variables.FLAG_NEEDS_TAU,
            )
            for order in oracle.orders:
                suffix = f"_{order}"
                expected, results = oracle.compute(given, order), handle.compute(given, suffix)
                assert all((results[label] == array).all() for label, array in expected.items())
        oracle.close()


def test_libxcs_generic_entry_points(client: Client) -> None:
    """All pointers of the long argument lists reach their places."""
    for number in (1, 101, 202):
        oracle = Oracle(str(client.libxc), number, 2)
        given = libxc_densities(20, 2, seed=1)
        with client.open(number, 2) as handle:
            for suffix, orders in COMBINATIONS.items():
                wanted = [o for o in orders if o in oracle.orders]
                if list(orders) != wanted and suffix:
                    continue
                labels = [label for o in wanted for label in oracle.labels(o)]
                results = handle.compute(given, suffix, labels)
                for order in wanted:
                    for label, array in oracle.compute(given, order).items():
                        np.testing.assert_array_equal(results[label], array)
        oracle.close()


def test_libxcs_settings(client: Client) -> None:
    """External parameters, thresholds and exact exchange of libxc's own functionals."""
    with client.open(406, 1) as handle:  # PBE0
        assert client.call("xc_func_info_get_n_ext_params", handle.info) == 1
        assert client.call("xc_func_info_get_ext_params_name", handle.info, 0) == b"_beta"
        assert client.call("xc_func_info_get_ext_params_default_value", handle.info, 0) == 0.25
        client.call("xc_func_set_ext_params", handle.pointer, (c_double * 1)(0.5))
        assert client.call("xc_hyb_exx_coef", handle.pointer) == 0.5
        client.call("xc_func_set_ext_params_name", handle.pointer, b"_beta", c_double(0.125))
        assert client.call("xc_hyb_exx_coef", handle.pointer) == 0.125
        assert client.call("xc_num_aux_funcs", handle.pointer) == 2
        handle.set("dens", 1.0)
        given = {"rho": np.full((1, 1), 0.5), "sigma": np.full((1, 1), 0.1)}
        assert handle.compute(given, "_exc")["zk"] == 0.0


def test_version(client: Client) -> None:
    numbers = [c_int() for _ in range(3)]
    client.call("xc_version", *map(byref, numbers))
    version = client.call("xc_version_string").decode()
    assert version == ".".join(str(number.value) for number in numbers)
    assert numbers[0].value in (5, 6, 7)
