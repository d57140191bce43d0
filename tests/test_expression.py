"""Composite expressions: terms, exact exchange, range separation."""

from __future__ import annotations

import pytest

from tests.folders import MODELS
from xcnet.errors import ExpressionError, UnknownFunctionalError
from xcnet.expression import ExchangeFractions, parse


@pytest.fixture(autouse=True)
def clones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XCNET_MODEL_PATH", str(MODELS))


def terms(text: str) -> dict[str, float]:
    return {t.entry.name: t.weight for t in parse(text).terms}


@pytest.mark.parametrize(
    ("text", "expected", "alpha"),
    [
        ("PBE-clone", {"gga_xc_pbe_clone": 1.0}, 0.0),
        ("0.75*PBE-clone + 0.25*HF", {"gga_xc_pbe_clone": 0.75}, 0.25),
        ("0.25*HF+0.75*PBE_clone", {"gga_xc_pbe_clone": 0.75}, 0.25),
        (".25 * hf + PBE_clone*0.75", {"gga_xc_pbe_clone": 0.75}, 0.25),
        ("1e-1*HF + 9.0e-1*PBE_clone", {"gga_xc_pbe_clone": 0.9}, 0.1),
        ("1e+0*PBE_clone", {"gga_xc_pbe_clone": 1.0}, 0.0),
        ("PBE_clone - 0.5*PBE_clone_x", {"gga_xc_pbe_clone": 1.0, "gga_x_pbe_clone": -0.5}, 0.0),
        ("-1*PBE_clone", {"gga_xc_pbe_clone": -1.0}, 0.0),
        ("-PBE-clone", {"gga_xc_pbe_clone": -1.0}, 0.0),
        ("1.*PBE-clone + .5*HF", {"gga_xc_pbe_clone": 1.0}, 0.5),
        ("0.5*PBE_clone + 0.5*pbe-clone", {"gga_xc_pbe_clone": 1.0}, 0.0),
        ("M06-L", {"mgga_x_m06_l": 1.0, "mgga_c_m06_l": 1.0}, 0.0),
        (
            "0.5*M06-L + 0.5*PBE_clone",
            {"mgga_x_m06_l": 0.5, "mgga_c_m06_l": 0.5, "gga_xc_pbe_clone": 0.5},
            0.0,
        ),
        ("B3LYP", {"hyb_gga_xc_b3lyp": 1.0}, 0.2),
        ("0.5*B3LYP + 0.1*HF", {"hyb_gga_xc_b3lyp": 0.5}, 0.2),
        ("PBE_clone,pbe-clone", {"gga_xc_pbe_clone": 1.0}, 0.0),
        ("0.5*PBE_clone + 0.5*GGA_C_LYP", {"gga_xc_pbe_clone": 0.5, "gga_c_lyp": 0.5}, 0.0),
        ("PBE,PBE", {"gga_x_pbe": 1.0, "gga_c_pbe": 1.0}, 0.0),
        ("HF", {}, 1.0),
        ("402", {"hyb_gga_xc_b3lyp": 1.0}, 0.2),
    ],
)
def test_terms(text: str, expected: dict[str, float], alpha: float) -> None:
    assert terms(text) == pytest.approx(expected)
    assert parse(text).exact_exchange.alpha == pytest.approx(alpha)


def test_range_separation() -> None:
    assert parse("PBE + SR_HF(0.3)").exact_exchange == ExchangeFractions(0.0, 1.0, 0.3)
    assert parse("PBE + 0.5*LR_HF(0.3)").exact_exchange == ExchangeFractions(0.5, -0.5, 0.3)
    both = parse("0.2*SR_HF(0.4) + 0.6*LR_HF(0.4) + PBE").exact_exchange
    assert (both.alpha, both.beta, both.omega) == pytest.approx((0.6, -0.4, 0.4))
    cam = parse("CAM-B3LYP").exact_exchange
    assert (cam.alpha, cam.beta, cam.omega) == pytest.approx((0.65, -0.46, 0.33))


def test_vv10() -> None:
    assert parse("wB97X-V").vv10 == (6.0, 0.01)
    with pytest.raises(ExpressionError, match="VV10"):
        parse("0.5*wB97X-V + 0.5*PBE")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("PBE,BLYP", "comma"),
        ("PBE_clone,GGA_C_LYP", "comma"),
        ("GGA_X_B88,PBE_clone", "'PBE_clone' without the comma"),
        ("PBE_clone + GGA_C_LYP", "counts correlation 2 times"),
        ("M06-L + PBE_clone", "counts correlation 2 times"),
        ("2*PBE_clone", "counts correlation 2 times.*'PBE_clone' alone"),
        ("0.5*PBE_clone,0.5*PBE_clone", r"write '0.5\*PBE_clone' without the comma"),
        ("PBE_clone + LYP", "functional 'LYP'. Did you mean gga_c_lyp, "),
        ("PBE +", "cannot read the term"),
        ("", "unknown functional"),
        ("2*3*PBE", "cannot read"),
        ("0.5*PBE*0.5", "cannot read"),
        ("PBE + SR_HF", "needs its range"),
        ("PBE + HF(0.3)", "takes no parameter"),
        ("PBE(0.3)", "only SR_HF and LR_HF"),
        ("SR_HF(0.3) + SR_HF(0.4)", "two different range separations"),
        ("0.5*PBE-0.5*HF", "space before the minus sign"),
    ],
)
def test_unreadable_expressions(text: str, says: str) -> None:
    with pytest.raises((ExpressionError, UnknownFunctionalError), match=says.replace("(", r"\(")):
        parse(text)


def test_unknown_part_shows_near_names() -> None:
    with pytest.raises(UnknownFunctionalError, match="PBE_clone"):
        parse("0.75*PBE_clonne + 0.25*HF")
