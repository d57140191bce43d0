"""Bond lengths: the scan finds a minimum, and the page has the committed means."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import bond_lengths


def test_minimum_of_a_cubic() -> None:
    assert bond_lengths.minimum(lambda x: (x - 1.02) ** 2 - 0.1 * (x - 1.02) ** 3, 1.0) == (
        pytest.approx(1.02, abs=1e-9)
    )


def test_a_bond_at_rest_has_no_force() -> None:
    """Energies along the bond and PySCF's analytic gradient agree about where the minimum is."""
    from pyscf import dft, gto

    distance = bond_lengths.bond("r2SCAN", "H", "H", 0, 0.74144)
    mol = gto.M(atom=f"H 0 0 0; H 0 0 {distance}", basis=bond_lengths.BASIS, verbose=0)
    mf = dft.RKS(mol, xc="r2SCAN").set(conv_tol=1e-10)
    mf.grids.level = bond_lengths.LEVEL
    mf.kernel()
    force = mf.nuc_grad_method().set(grid_response=True).kernel()
    assert abs(force).max() < 1e-4


def test_the_page_has_the_committed_means() -> None:
    table = bond_lengths.RESULT.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table if line[:1] == "|"]
    means = {name: float(mean) / 1000 for name, mean in zip(rows[0][2:], rows[-1][2:], strict=True)}
    page = (Path(__file__).parents[1] / "docs/accuracy.md").read_text(encoding="utf-8")
    assert (
        f"off by {means['NN-metaGGA']:.4f} Å, those of NN-NRA by {means['NN-NRA']:.4f}, of "
        f"NN-metaGGA-3mol and r2SCAN by {means['r2SCAN']:.4f}, of M06-L by {means['M06-L']:.4f}"
    ) in " ".join(page.split())
    assert means["NN-metaGGA-3mol"] == means["r2SCAN"]
