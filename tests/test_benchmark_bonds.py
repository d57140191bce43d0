"""Bond lengths: the page has the committed means."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "bond_lengths.md"


def test_the_page_has_the_committed_means() -> None:
    table = RESULT.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table if line[:1] == "|"]
    means = {name: float(mean) / 1000 for name, mean in zip(rows[0][2:], rows[-1][2:], strict=True)}
    page = (ROOT / "docs/accuracy.md").read_text(encoding="utf-8")
    assert (
        f"off by {means['NN-metaGGA']:.4f} Å, those of NN-NRA by {means['NN-NRA']:.4f}, of "
        f"r2SCAN by {means['r2SCAN']:.4f}, of M06-L by {means['M06-L']:.4f}, of "
        f"NN-hybrid by {means['NN-hybrid']:.4f}"
    ) in " ".join(page.split())
