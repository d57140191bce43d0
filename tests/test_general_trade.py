"""The trade between atomization energies and all else: one sigma is changed."""

from __future__ import annotations

from benchmarks import general_trade
from xcnet.training.linear import recipe


def test_one_sigma_is_changed() -> None:
    chosen = recipe.load("general")
    changed = general_trade.weighted(chosen, 0.5)
    sigmas = {
        of.set: (of.sigma, other.sigma)
        for of, other in zip(chosen.energies, changed.energies, strict=True)
    }
    before, after = sigmas.pop(general_trade.SET)
    assert after == 0.5 * before
    assert all(old == new for old, new in sigmas.values())
    assert general_trade.weighted(chosen, 1.0) == chosen
