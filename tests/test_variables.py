"""libxc's conventions: labels, component order, widths, fold weights."""

from __future__ import annotations

from math import comb

import pytest

from xcnet import variables

MGGA = ("rho", "sigma", "lapl", "tau")
ORDERS = {
    1: "vrho vsigma vlapl vtau",
    2: "v2rho2 v2rhosigma v2rholapl v2rhotau v2sigma2 v2sigmalapl v2sigmatau v2lapl2 v2lapltau "
    "v2tau2",
    3: "v3rho3 v3rho2sigma v3rho2lapl v3rho2tau v3rhosigma2 v3rhosigmalapl v3rhosigmatau "
    "v3rholapl2 v3rholapltau v3rhotau2 v3sigma3 v3sigma2lapl v3sigma2tau v3sigmalapl2 "
    "v3sigmalapltau v3sigmatau2 v3lapl3 v3lapl2tau v3lapltau2 v3tau3",
}


@pytest.mark.parametrize("order", ORDERS)
def test_labels_are_libxcs(order: int) -> None:
    assert " ".join(variables.labels(MGGA, order)) == ORDERS[order]


def test_zeroth_order_is_zk() -> None:
    assert variables.labels(MGGA, 0) == ("zk",)
    assert variables.width("zk", 2) == 1


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("spin", [1, 2])
def test_width_is_the_product_of_symmetric_powers(order: int, spin: int) -> None:
    for label in variables.labels(MGGA, order):
        expected = 1
        for name, power in variables.powers(label):
            n = variables.COMPONENTS[name][spin - 1]
            expected *= comb(n + power - 1, power)
        assert variables.width(label, spin) == expected


def test_component_order() -> None:
    names = {"rho": "ab", "sigma": ("aa", "ab", "bb")}

    def spelled(label: str) -> list[str]:
        return ["_".join(names[v][i] for v, i in c) for c in variables.components(label, 2)]

    assert spelled("v2rho2") == ["a_a", "a_b", "b_b"]
    assert spelled("v2rhosigma") == ["a_aa", "a_ab", "a_bb", "b_aa", "b_ab", "b_bb"]
    assert spelled("v2sigma2") == ["aa_aa", "aa_ab", "aa_bb", "ab_ab", "ab_bb", "bb_bb"]


def test_fold_weights_are_the_chain_rule() -> None:
    assert variables.fold_weights("zk") == ((1.0,),)
    assert variables.fold_weights("vrho") == ((0.5, 0.5),)
    assert variables.fold_weights("vsigma") == ((0.25, 0.25, 0.25),)
    assert variables.fold_weights("v2rho2") == ((0.25, 0.5, 0.25),)
    for order in (1, 2, 3):
        for label in variables.labels(MGGA, order):
            # A product of the variables themselves has the derivative that counts permutations.
            total = sum(variables.fold_weights(label)[0])
            expected = 1.0
            for name, power in variables.powers(label):
                expected *= (
                    variables.COMPONENTS[name][1] * variables.CLOSED_SHELL_SHARE[name]
                ) ** (power)
            assert total == pytest.approx(expected, rel=1e-15)


def test_channel_columns() -> None:
    assert variables.channel_columns("zk", 0) == ()
    assert variables.channel_columns("vsigma", 0) == (0, 1)
    assert variables.channel_columns("v2rhosigma", 1) == (1, 2, 3, 4, 5)
    assert variables.channel_columns("vnear_region", 1) == ()


def test_descriptor_labels() -> None:
    assert variables.labels(("rho", "near_region"), 2) == (
        "v2rho2",
        "v2rhonear_region",
        "v2near_region2",
    )
    assert variables.width("v2rhonear_region", 2) == 2


def test_powers_refuses_other_text() -> None:
    with pytest.raises(ValueError, match="not an output label"):
        variables.powers("v2rhofoo")
