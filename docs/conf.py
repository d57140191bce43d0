"""Sphinx's settings: ``make docs`` builds the pages into build/docs.

In the root of a checkout (``python -m sphinx docs build/docs``) Sphinx finds `docs`.
"""

from __future__ import annotations

import re
from typing import Any

from pygments.lexers.python import PythonLexer
from sphinx.application import Sphinx

import xcnet.errors
from docs import generate

project = "xcnet"
author = copyright = "xcnet developers"
version = release = xcnet.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["extra"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
nitpicky = True
#: Types of other packages, whose documentation is not looked up at build time, and words of
#: numpydoc's types: shapes, kinds of arguments.
nitpick_ignore_regex = [
    ("py:class", r"(collections|numpy|np|npt|pathlib|torch|ase|typing)\b.*"),
    ("py:class", r"(ArrayLike|Calculator|Rng|TypeAliasForwardRef)"),
    ("py:class", r"(xcnet\.([a-z_.]+\.Array)|Callback|Array|[NARks]|nao|weight|functional|\d)"),
    ("py:class", r"xcnet\.(expression\.ExchangeFractions|terms\.TermFunctional|stages\.Stage)"),
    ("py:class", r"xcnet\.operators\.points\.Points"),
    ("py:class", r'([{"].*|.*}|and)'),
    ("py:class", r"(array|array_like|callable|function|mapping|ndarray|optional|path|sequence)"),
]

autodoc_member_order = "bysource"
autodoc_type_aliases = {"npt.ArrayLike": "ArrayLike", "Array": "Array"}
add_module_names = False
napoleon_google_docstring = False

smartquotes = False  # messages and commands are shown as they are

html_theme = "furo"
html_title = f"xcnet {release}"
html_extra_path = ["extra"]
html_static_path = ["static"]
html_css_files = ["xcnet.css"]
html_show_sphinx = False
html_copy_source = False


def setup(app: Sphinx) -> None:
    """Fill generated parts in as pages are read; highlight inputs of Psi4, which are Python."""
    app.add_lexer("psi4", PythonLexer)
    app.connect("source-read", _fill)
    app.connect("missing-reference", _own_error)
    app.connect("autodoc-process-signature", _plain_aliases)


def _plain_aliases(app: Sphinx, *parts: Any) -> tuple[str | None, ...]:
    """Signature, and type of the result, with the names of aliases as the sources have them."""
    return tuple(re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r"\1", x or "") or x for x in parts[-2:])


def _own_error(app: Sphinx, env: Any, node: Any, content: Any) -> Any:
    """Link of an error class that a docstring names without its module."""
    if node.get("reftype") not in ("exc", "class") or node["reftarget"] not in vars(xcnet.errors):
        return None
    target = f"xcnet.errors.{node['reftarget']}"
    domain = env.get_domain("py")
    return domain.resolve_xref(env, node["refdoc"], app.builder, "exc", target, node, content)


def _fill(app: Sphinx, page: str, source: list[str]) -> None:
    source[0] = generate.fill(source[0])
