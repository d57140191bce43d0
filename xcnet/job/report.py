"""What a run prints, and the JSON file that grows with it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from xcnet import files
from xcnet.errors import InputError
from xcnet.systems.molecules import Molecule

KCAL = 627.5094740631  # kcal/mol in a Hartree, CODATA 2018

COLUMNS = ("energy/Ha", "exc/Ha", "gap/eV", "dipole/D", "cycles", "converged by", "time/s")
WIDTHS = (14, 12, 8, 8, 6, 13, 7)


class Table:
    """Lines of the table of results, printable as they come."""

    def __init__(self, molecules: Iterable[str], functionals: Iterable[str]) -> None:
        self._first = max(map(len, ("molecule", *molecules)))
        self._second = max(map(len, ("functional", *functionals)))

    def header(self) -> str:
        """Column titles and a rule."""
        line = self._line("molecule", "functional", COLUMNS)
        return f"{line}\n{'-' * len(line)}"

    def row(self, result: Mapping[str, Any]) -> str:
        """One result."""
        cells = (
            f"{result['energy']:.6f}",
            f"{result['exc']:.6f}",
            _number(result["gap"], 3),
            _number(result["dipole"], 3),
            str(result["cycles"]),
            result["solver"] if result["converged"] else "NOT CONVERGED",
            f"{result['seconds']:.1f}",
        )
        return self._line(result["molecule"], result["xc"], cells)

    def _line(self, first: str, second: str, cells: Sequence[str]) -> str:
        rest = "  ".join(cell.rjust(width) for cell, width in zip(cells, WIDTHS, strict=True))
        return f"{first:<{self._first}}  {second:<{self._second}}  {rest}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def atomization(
    molecules: Sequence[Molecule], results: Sequence[Mapping[str, Any]], functionals: Sequence[str]
) -> list[dict[str, Any]]:
    """Atomization energies (kcal/mol) of the molecules for which all parts are there."""
    by_case = {(r["molecule"], r["xc"]): r for r in results}
    rows = []
    for molecule in molecules:
        for xc in functionals:
            parts = [by_case.get((name, xc)) for name in (molecule.name, *molecule.symbols)]
            done = [part for part in parts if part is not None]
            if len(molecule.symbols) == 1 or len(done) < len(parts):
                continue
            whole, *atoms = done
            energy = sum(part["energy"] for part in atoms) - whole["energy"]
            rows.append(
                {
                    "molecule": molecule.name,
                    "xc": xc,
                    "kcal_per_mol": KCAL * energy,
                    "converged": all(part["converged"] for part in done),
                    "experiment_kcal_per_mol": molecule.experiment,
                }
            )
    return rows


def atomization_table(rows: Sequence[Mapping[str, Any]], functionals: Sequence[str]) -> str:
    """Molecules down, functionals across; ``*`` where something did not converge."""
    lines = {row["molecule"]: row["experiment_kcal_per_mol"] for row in rows}
    cells = {
        (row["molecule"], row["xc"]): f"{row['kcal_per_mol']:.1f}{'' if row['converged'] else '*'}"
        for row in rows
    }
    titles = [*functionals, *(["experiment"] if any(v is not None for v in lines.values()) else [])]
    first = max(map(len, ("molecule", *lines)))
    text = [f"{'molecule':<{first}}  " + "  ".join(f"{t:>10}" for t in titles)]
    text.append("-" * len(text[0]))
    for name, experiment in lines.items():
        values = [cells.get((name, xc), "-") for xc in functionals] + [_number(experiment, 1)]
        row = "  ".join(f"{v:>{max(10, len(t))}}" for t, v in zip(titles, values, strict=False))
        text.append(f"{name:<{first}}  {row}")
    return "\n".join(text)


class JsonFile:
    """A JSON file that always holds a complete document: replaced whole after each result."""

    def __init__(self, path: Path | None, document: Any) -> None:
        self.path = path
        self.document = document
        self.write()

    def write(self) -> None:
        """Write the document as it is now; on any failure the file before it stays."""
        if self.path is None:
            return
        text = json.dumps(_plain(self.document), indent=2, ensure_ascii=False) + "\n"
        try:
            files.write(self.path, text)
        except OSError as error:
            raise InputError(
                f"cannot write {self.path}: {error.strerror}", file=str(self.path)
            ) from error


def _plain(value: Any) -> Any:
    """Value as JSON knows it; numbers that are not finite become null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
