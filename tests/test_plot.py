"""`xcnet plot`: the curves are the functionals', and the files are pictures."""

from __future__ import annotations

import struct
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from xcnet import cli, enhancement, functional
from xcnet.errors import InputError
from xcnet.plot import curves


def test_factor_of_the_uniform_gas_is_one_for_exchange() -> None:
    slater = functional("lda_x", "polarized")
    by_s, by_alpha = curves.factors(slater, "LDA", 2.0)
    np.testing.assert_allclose(by_s.y, 1.0, rtol=1e-12)
    assert by_s.y.shape == (1, 401)  # one curve: it sees neither s nor alpha
    assert by_alpha.parameters == (0.0,)


def test_known_values_of_scan() -> None:
    """Exchange enhancement of SCAN, h0x = 1.174 at s = 0 in one orbital, 1 in the uniform gas."""
    points = enhancement.points(("rho", "sigma", "tau"), 1.0, 0.0, [0.0, 1.0])
    energy = functional("mgga_x_scan", "polarized").compute(points)["zk"][:, 0]
    factor = energy / enhancement.uniform_exchange(points["rho"].sum(axis=1))
    np.testing.assert_allclose(factor, [1.174, 1.0], rtol=1e-6)


def test_variables_of_a_polarized_density() -> None:
    points = enhancement.points(("rho", "sigma", "tau"), 2.0, 1.5, 0.0, [0.3, 1.0])
    n = enhancement.density(2.0)
    total = points["sigma"] @ [1.0, 2.0, 1.0]
    s = np.sqrt(total) / (2 * (3 * np.pi**2) ** (1 / 3) * n ** (4 / 3))
    np.testing.assert_allclose(s, 1.5)
    np.testing.assert_allclose(points["tau"].sum(axis=1), total / (8 * n))  # one orbital
    assert points["rho"][1, 1] == 0.0


def test_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyscf")
    files = [tmp_path / "a.png", tmp_path / "b.svg"]
    words = ["plot", "NN-r2SCAN", "--vs", "SCAN", "--bond", "H2"]
    words += [word for path in files for word in ("--output", str(path))]
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert cli.main(words) == 0
    printed = capsys.readouterr()
    assert printed.out.split() == [str(path) for path in files]
    assert "H2, PBE/def2-tzvp, cycle 2" in printed.err
    width, height = struct.unpack(">II", files[0].read_bytes()[16:24])
    assert width > 1000
    assert height > 800
    svg = files[1].read_bytes()
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert cli.main(words) == 0
    assert files[1].read_bytes() == svg  # the same picture is the same file


def test_wrong_requests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        (["--output", str(tmp_path / "a.gif")], "must be .png or .svg"),
        (["--rs", "0"], "--rs"),
        (["--vs", "nothing"], "unknown functional"),
        (["--output", str(tmp_path / "none" / "a.png")], "cannot write"),
    ):
        assert cli.main(["plot", "PBE", *words]) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(InputError, match="no bond"):
        curves.bond("He 0 0 0", curves.open_all(["PBE"]))
