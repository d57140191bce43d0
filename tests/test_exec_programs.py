"""CP2K, Abinit and OpenMolcas as Debian has them, under ``xcnet exec``: the inputs of examples/.

A clone has the formula of libxc's own TPSS, so that a program must find the same energy with it.
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.hosts import run
from tests.hosts import xcnet as command

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
INPUTS = {
    "cp2k": EXAMPLES / "cp2k" / "hydrogen.inp",
    "abinit": EXAMPLES / "abinit" / "silicon.abi",
    "openmolcas": EXAMPLES / "openmolcas" / "water.input",
}
ENERGIES = {
    "cp2k": r"ENERGY\| Total FORCE_EVAL.*:\s+(\S+)",
    "abinit": r"^ *etotal +(\S+)",
    "openmolcas": r"Total KS-DFT energy +(\S+)",
}
PROGRAMS = {
    "cp2k": ["/usr/bin/cp2k"],
    "abinit": ["/usr/bin/abinit"],
    # A script for Debian's own packages, whichever python3 comes first on the PATH.
    "openmolcas": ["/usr/bin/python3", "/usr/bin/pymolcas"],
}
#: What each program's input says for exchange and correlation, one functional or several.
WORDS = {
    "cp2k": "&MGGA_XC_NN_METAGGA\n        &END MGGA_XC_NN_METAGGA",
    "abinit": "ixc -901",
    "openmolcas": "KSDFT = MGGA_XC_NN_METAGGA",
}
TPSS = {
    "cp2k": "&MGGA_X_TPSS\n&END\n&MGGA_C_TPSS\n&END",
    "abinit": "ixc -202231",
    "openmolcas": "KSDFT = 2\n1.0 MGGA_X_TPSS\n1.0 MGGA_C_TPSS",
}
CLONE = {
    "cp2k": "&MGGA_XC_TPSS_CLONE\n&END",
    "abinit": "ixc -902",
    "openmolcas": "KSDFT = MGGA_XC_TPSS_CLONE",
}
NUMBERS = {"abinit": ("--id", "901=NN-metaGGA", "--id", "902=mgga_xc_tpss_clone")}
#: Ranks of a test may share a core, and belong to root in a container.
OPEN_MPI = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
    "OMP_NUM_THREADS": "1",
}


@pytest.fixture(autouse=True)
def model_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XCNET_MODEL_PATH", str(ROOT / "tests" / "models"))


@pytest.fixture(params=list(PROGRAMS))
def program(request: pytest.FixtureRequest) -> str:
    """A program that this release of the system may have."""
    name: str = request.param
    if not Path(PROGRAMS[name][-1]).is_file():
        pytest.skip(f"{name} is not installed")
    return name


@cache
def energy(program: str, words: str, ranks: int = 1) -> float:
    """Energy in Hartree of the program's example with these words for the functional."""
    status, output, errors = _run(program, words, ranks)
    assert status == 0, output[-2000:] + errors
    assert not re.search("^xcnet:", errors, re.MULTILINE)
    return float(re.findall(ENERGIES[program], output, re.MULTILINE)[-1])


def _run(program: str, words: str, ranks: int = 1) -> tuple[int, str, str]:
    """Exit status of the program, what it wrote, and its standard error."""
    text = INPUTS[program].read_text(encoding="utf-8")
    assert WORDS[program] in text
    launcher = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    with TemporaryDirectory() as folder:
        file = Path(folder, INPUTS[program].name)
        file.write_text(text.replace(WORDS[program], words), encoding="utf-8")
        called = ["env", "-C", folder, *launcher, *PROGRAMS[program], file.name]
        done = command(
            *("exec", *NUMBERS.get(program, ()), "--", *called), **OPEN_MPI, MOLCAS_WORKDIR=folder
        )
        written = [path.read_text() for path in Path(folder).glob("*.abo")]
    return done.returncode, "\n".join([done.stdout, *written]), done.stderr


def test_twin_of_tpss(program: str) -> None:
    libxc = energy(program, TPSS[program])
    assert energy(program, CLONE[program]) == pytest.approx(libxc, abs=1e-6)


@pytest.mark.parametrize("program", ["abinit", "cp2k"], indirect=True)
def test_two_ranks(program: str) -> None:
    alone = energy(program, CLONE[program])
    assert energy(program, CLONE[program], ranks=2) == pytest.approx(alone, abs=1e-6)


def test_input_as_it_is_documented(program: str) -> None:
    """Its energy with NN-metaGGA is near that with TPSS, but not the same."""
    given = energy(program, WORDS[program])
    assert 1e-4 < abs(given - energy(program, TPSS[program])) < 0.5


@pytest.mark.parametrize("program", ["abinit"], indirect=True)
def test_numbers_of_six_digits_are_two_of_three_for_abinit(program: str) -> None:
    """It would take 100210 for libxc's functionals 100 and 210."""
    done = command("exec", "--", *PROGRAMS[program], "silicon.abi")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--id 901=NN-metaGGA" in done.stderr


@pytest.mark.parametrize("program", ["cp2k", "openmolcas"], indirect=True)
def test_nonlocal_functionals_are_not_found(program: str) -> None:
    """No program goes on without their energy, whether it takes a name or a number."""
    words = {"cp2k": "&MGGA_XC_NN_NRA\n&END", "openmolcas": "KSDFT = 1\n1.0 100213"}
    assert _run(program, words[program])[0] != 0


@pytest.mark.parametrize("program", INPUTS)
def test_pages_show_the_inputs(program: str) -> None:
    page = (ROOT / "docs" / "start" / f"{program}.md").read_text(encoding="utf-8")
    path = os.path.relpath(INPUTS[program], ROOT)
    assert f"```{{literalinclude}} ../../{path}\n" in page
    (line,) = re.findall(r"(?<=:  )xcnet exec .*", INPUTS[program].read_text(encoding="utf-8"))
    assert line.replace(INPUTS[program].name, path) in page
    assert run("bash", "-n", "-c", line).returncode == 0
