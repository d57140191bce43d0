"""The report as one self-contained HTML page."""

from __future__ import annotations

import xcnet
from xcnet.check import Report, results
from xcnet.errors import XCNetError
from xcnet.page import Figure, draw_as, embedded, environment
from xcnet.plot import curves, figures

#: What stands beside the functional in its picture.
BESIDE = "SCAN"
TITLES = {
    "integrity": "Integrity of the folder",
    "laws": "Laws",
    "robustness": "Robustness",
    "physics": "Exact constraints",
    "domain": "Training domain",
}


def render(report: Report, back: str = "") -> str:
    """HTML of a report; ``back`` is the address of a page that it links to at its top."""
    sections = [
        (
            TITLES[section],
            [(r.name, *results.cells(r)) for r in report.results if r.section == section],
        )
        for section in results.SECTIONS
    ]
    counts = {
        verdict: sum(r.verdict == verdict for r in report.results)
        for verdict in (results.PASS, results.FAIL, results.NOT_REQUIRED, results.NOT_APPLICABLE)
    }
    template = environment("xcnet.check").get_template("page.html.j2")
    text: str = template.render(
        name=report.name,
        version=xcnet.__version__,
        sections=[section for section in sections if section[1]],
        counts=counts,
        broken=[
            (r.name, *results.cells(r))
            for r in report.results
            if r.verdict in (results.FAIL, results.NOT_REQUIRED)
        ],
        back=back,
        beside=BESIDE,
        figures=_figures(report) if not report.failures else [],
    )
    return text


def _figures(report: Report) -> list[Figure]:
    """Enhancement factors beside a well-known functional's; none for what has no factor."""
    try:
        functionals = {report.name: report.functional, **curves.open_all([BESIDE])}
        pair = [curves.factors(f, label, 1.0) for label, f in functionals.items()]
    except XCNetError:
        return []
    drawn = {
        theme: embedded(draw_as(figures.factors, pair, theme, 3.4, width=9.0, panels=(1, 2)))
        for theme in ("light", "dark")
    }
    return [Figure("Enhancement factor at rs = 1, unpolarized", drawn["light"], drawn["dark"])]
