"""What all HTML pages share: their look, and figures in a light and a dark version."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xcnet import extras
from xcnet.errors import MissingPackageError

try:
    import matplotlib as mpl
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
except ImportError as error:
    raise MissingPackageError(
        f"pages and plots need {error.name}: {extras.hint('check')}", package=error.name
    ) from error

mpl.use("Agg")

from matplotlib import pyplot as plt

THEMES = {
    "light": {"background": "#ffffff", "ink": "#1f2328", "grid": "#d0d7de"},
    "dark": {"background": "#0d1117", "ink": "#e6edf3", "grid": "#30363d"},
}
#: Distinct for colour-blind readers and on both backgrounds (after Okabe and Ito).
COLOURS = ("#3b8fd1", "#e08214", "#1a9e77", "#c8559c", "#9a7fd1", "#b59a00", "#d1495b", "#5c8a8a")
WIDTH = 7.2  # inches

Draw = Callable[[Any, Any], None]  # axes (or an array of them), what to draw


@dataclass(frozen=True)
class Figure:
    """A figure in both themes, as data URIs."""

    title: str
    light: str
    dark: str


def draw_as(
    draw: Draw,
    what: Any,
    theme: str,
    height: float,
    *,
    width: float = WIDTH,
    panels: tuple[int, int] = (1, 1),
    file_format: str = "png",
) -> bytes:
    """One figure as the content of a file; sizes in inches, rows and columns of panels."""
    look = THEMES[theme]
    ink = dict.fromkeys(
        ("axes.edgecolor", "axes.labelcolor", "text.color", "xtick.color", "ytick.color"),
        look["ink"],
    )
    style: dict[str, Any] = {
        **ink,
        **dict.fromkeys(("figure.facecolor", "axes.facecolor"), look["background"]),
        **{"grid.color": look["grid"], "axes.grid": True, "axes.axisbelow": True},
        **{"axes.spines.top": False, "axes.spines.right": False, "font.size": 10},
        "svg.hashsalt": "xcnet",  # the same figure gives the same file
    }
    with mpl.rc_context(style):
        figure, axes = plt.subplots(*panels, figsize=(width, height), layout="constrained")
        try:
            draw(axes, what)
            file = io.BytesIO()
            undated = {"Date": None} if file_format == "svg" else None
            figure.savefig(file, dpi=144, format=file_format, metadata=undated)
        finally:
            plt.close(figure)
    return file.getvalue()


def embedded(content: bytes) -> str:
    """PNG file as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def environment(package: str) -> Environment:
    """Templates of a package, which may extend those of this one."""
    return Environment(
        loader=ChoiceLoader([PackageLoader(package, "."), PackageLoader("xcnet.page", ".")]),
        autoescape=True,
        undefined=StrictUndefined,
    )
