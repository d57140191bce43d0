"""``xcnet run``: self-consistent calculations of several functionals side by side, in PySCF."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xcnet import domain, extras
from xcnet.errors import InputError, MissingPackageError
from xcnet.job import report
from xcnet.systems.elements import SYMBOLS
from xcnet.systems.molecules import Molecule, atom, read

if TYPE_CHECKING:
    from xcnet.scf.calculation import Settings

EXIT_NOT_CONVERGED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    add = parser.add_argument
    add(
        "molecules",
        nargs="+",
        metavar="MOLECULE",
        help="file (XYZ, or any format that ASE reads), name in the G2/97 set (H2O, NO, benzene "
        "...), or 'O 0 0 0; H 0 0 0.97; ...' in angstrom",
    )
    add(
        "--xc",
        action="append",
        required=True,
        metavar="NAME,NAME...",
        help="functionals, separated by commas; each a name or an expression such as "
        "0.25*HF+0.75*NN-metaGGA",
    )
    add("--basis", default="def2-svp", help="basis set (default: %(default)s)")
    add("--charge", type=int, help="total charge (default: that of the file, or 0)")
    add(
        "--spin",
        type=int,
        help="number of unpaired electrons (default: that of the file, or the ground state's)",
    )
    add(
        "--frame",
        type=int,
        metavar="N",
        help="which geometry of files that hold several: 1 ..., or -1 for the last",
    )
    add(
        "--grid",
        type=int,
        choices=range(10),
        metavar="0-9",
        help="PySCF's grid level, for all functionals (default: the finest that one of them needs)",
    )
    add(
        "--tolerance",
        type=_positive,
        default=1e-9,
        metavar="HARTREE",
        help="change of the energy at which a calculation is converged (default: %(default)s)",
    )
    add("--df", action="store_true", help="density fitting")
    add("--atomization", action="store_true", help="atomization energies too")
    add("--json", type=Path, metavar="FILE", help="write all results there, as they come")
    add("--qcschema", type=Path, metavar="FILE", help="write them there as QCSchema, too")
    add("--quiet", action="store_true", help="no progress display")


def _positive(text: str) -> float:
    value = float(text)
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Run the calculations; exit code 1 when one did not converge.

    Everything that can be wrong with the input is found before the first calculation.
    """
    from xcnet.job import qcschema

    molecules = _molecules(arguments)
    functionals = _names(arguments.xc)
    tasks = [*molecules, *(_atoms(molecules) if arguments.atomization else [])]
    settings, document = _prepare(arguments, functionals, tasks)
    output = report.JsonFile(arguments.json, document)
    exchange = report.JsonFile(arguments.qcschema, [])
    print(_heading(document))
    try:
        _solve_all(tasks, functionals, settings, output, arguments.quiet)
        document["complete"] = True
    finally:
        if arguments.atomization:
            rows = report.atomization(molecules, document["results"], functionals)
            document["atomization"] = rows
            _print_atomization(rows, functionals)
        output.write()
        exchange.document = qcschema.outputs(document)
        exchange.write()
    failed = [r for r in document["results"] if not r["converged"]]
    for result in failed:
        print(f"xcnet: {result['molecule']} with {result['xc']} did not converge", file=sys.stderr)
    return EXIT_NOT_CONVERGED if failed else 0


def _prepare(
    arguments: argparse.Namespace, functionals: Sequence[str], tasks: Sequence[Molecule]
) -> tuple[Settings, dict[str, Any]]:
    """Check functionals and basis set; settings of the run and the head of its document."""
    from xcnet.scf import calculation
    from xcnet.scf.molecule import build

    described = [calculation.check_functional(xc) for xc in functionals]
    level = calculation.grid_level(described) if arguments.grid is None else arguments.grid
    settings = calculation.Settings(arguments.basis, level, arguments.df, arguments.tolerance)
    for molecule in tasks:
        build(molecule, settings.basis)
    return settings, {
        "format": 1,
        "versions": calculation.versions(),
        "settings": {**asdict(settings), "threads": calculation.threads()},
        "functionals": described,
        "molecules": [asdict(molecule) for molecule in tasks],
        "results": [],
        "atomization": [],
        "complete": False,
    }


def _molecules(arguments: argparse.Namespace) -> list[Molecule]:
    sources = arguments.molecules
    if len(sources) > 1 and (arguments.charge or arguments.spin is not None):
        raise InputError("--charge and --spin are for a single molecule; give them one by one")
    charge, spin, frame = arguments.charge, arguments.spin, arguments.frame
    molecules = [read(source, charge, spin, frame, _warn) for source in sources]
    charged = [molecule.name for molecule in molecules if molecule.charge]
    if arguments.atomization and charged:
        raise InputError(f"--atomization is for neutral molecules, which {charged[0]} is not")
    # The name of an element is that of its ground-state atom, also in the table of energies.
    molecules = [
        replace(m, name=f"{m.name}#1") if m.name in SYMBOLS and m != atom(m.name) else m
        for m in molecules
    ]
    names: dict[str, int] = {}
    for i, molecule in enumerate(molecules):
        names[molecule.name] = names.get(molecule.name, 0) + 1
        if names[molecule.name] > 1:
            molecules[i] = replace(molecule, name=f"{molecule.name}#{names[molecule.name]}")
    return molecules


def _names(values: Sequence[str]) -> list[str]:
    """Functionals of all ``--xc``, each once, in their order."""
    names = [name.strip() for value in values for name in value.split(",")]
    functionals = list(dict.fromkeys(filter(None, names)))
    if not functionals:
        raise InputError("--xc names no functional")
    return functionals


def _atoms(molecules: Sequence[Molecule]) -> list[Molecule]:
    """Atoms of all molecules that are not among the molecules themselves."""
    symbols = dict.fromkeys(symbol for molecule in molecules for symbol in molecule.symbols)
    return [single for single in map(atom, symbols) if single not in molecules]


def _heading(document: dict[str, Any]) -> str:
    versions, settings = document["versions"], document["settings"]
    level = settings["grid_level"]
    fit = ", density fitting" if settings["density_fit"] else ""
    lines = [
        f"xcnet {versions['xcnet']}, PySCF {versions['pyscf']}, libxc {versions['libxc']}",
        f"basis {settings['basis']}, grid level {level} for all functionals{fit}",
    ]
    for neural in (n for f in document["functionals"] for n in f["neural"]):
        if neural["grid_level"] > level:
            lines.append(f"note: {neural['name']} should have grid level {neural['grid_level']}")
    return "\n".join([*dict.fromkeys(lines), ""])


def _solve_all(
    tasks: Sequence[Molecule],
    functionals: Sequence[str],
    settings: Settings,
    output: report.JsonFile,
    quiet: bool,
) -> None:
    """Run every molecule with every functional; keep and print each result when it is there."""
    from xcnet.scf import calculation

    table = report.Table((molecule.name for molecule in tasks), functionals)
    with _progress_bar(len(tasks) * len(functionals), quiet) as bar:
        _print(bar, table.header())
        for molecule in tasks:
            for xc in functionals:

                def progress(
                    cycle: int, energy: float, label: str = f"{molecule.name} {xc}"
                ) -> None:
                    bar.set_description_str(f"{label}: cycle {cycle}, {energy:.6f} Ha")

                departures: list[tuple[str, domain.Outside]] = []

                def inspect(
                    mf: Any,
                    molecule: Molecule = molecule,
                    departures: list[tuple[str, domain.Outside]] = departures,
                ) -> None:
                    departures += [(s.name, part) for s, part in calculation.outside(mf, molecule)]

                result = asdict(calculation.solve(molecule, xc, settings, progress, inspect))
                outside = [{"functional": name, **asdict(part)} for name, part in departures]
                output.document["results"].append({**result, "outside": outside})
                output.write()
                _print(bar, table.row(result))
                for name, part in departures:
                    _warn_of_domain(bar, molecule.name, name, part)
                bar.update()


def _warn(text: str) -> None:
    print(f"xcnet: warning: {text}", file=sys.stderr, flush=True)


def _warn_of_domain(bar: Any, molecule: str, functional: str, outside: domain.Outside) -> None:
    """Say when a functional had to extrapolate."""
    if outside.is_large:
        bar.clear()
        _warn(outside.sentence(functional, molecule))
        bar.refresh()


def _progress_bar(total: int, quiet: bool) -> Any:
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise MissingPackageError(
            f"the progress display needs tqdm: {extras.hint('pyscf')}", package="tqdm"
        ) from error
    hidden = quiet or not sys.stderr.isatty()
    return tqdm(total=total, disable=hidden, file=sys.stderr, leave=False, unit="SCF")


def _print(bar: Any, text: str) -> None:
    """Print a line of the table without tearing the progress display."""
    bar.clear()
    print(text, flush=True)
    bar.refresh()


def _print_atomization(rows: Sequence[dict[str, Any]], functionals: Sequence[str]) -> None:
    if rows:
        print("\nAtomization energies, kcal/mol (electronic, atoms self-consistent)")
        print(report.atomization_table(rows, functionals))
