"""Public sets at the densities of r2SCAN: all functionals side by side, with their dispersion.

The results are made by

    xcnet bench SET --density r2SCAN --xc NAME,NAME... --output benchmarks/results/public/SET.jsonl

``python -m benchmarks.public_sets`` makes ``benchmarks/results/public_sets.md`` of them; the sets'
data must be there (``xcnet train data SET``).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from xcnet.bench import statistics, store
from xcnet.bench.report import readme

RESULTS = Path(__file__).resolve().parent / "results"
PAGE = RESULTS / "public_sets.md"
TEXT = """\
# Public sets at the densities of r2SCAN

Made by `python -m benchmarks.public_sets`, which explains it. Errors in kcal/mol. Of diet30, which
estimates the WTMAD-2 of GMTKN55, these are the 16 reactions whose systems have at most five heavy
atoms: the last column is the mean of their weighted errors, to compare functionals by, and no
estimate of the whole.
"""


def page(files: Iterable[Path]) -> str:
    """One table for each set."""
    parts = [
        f"{readme.table(section)}\n\n{readme.note(section)}"
        for path in files
        for section in statistics.sections(store.read(path))
    ]
    return "\n".join([TEXT, *(f"{part}\n" for part in parts)])


if __name__ == "__main__":
    PAGE.write_text(page(sorted((RESULTS / "public").glob("*.jsonl"))), encoding="utf-8")
