"""The index of error messages: what each class can say, and where it is said."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from docs.generate import sources
from docs.generate.markdown import bullets, escape
from docs.generate.sources import CLOSE, OPEN, Site

_INSERTED = re.compile(f"{OPEN}(.*?){CLOSE}")


def errors(name: str) -> str:
    """Messages of one error class."""
    return _list(site for site in sources.sites(*sources.CLASSES) if site.error == name)


def warnings() -> str:
    """Messages of warnings."""
    return _list(sources.sites("warn"))


def graph_refusals() -> str:
    """What can follow "is refused:" in the error of a graph."""
    refusals = [s for s in sources.sites("ValueError") if s.module.startswith("xcnet.graphs")]
    return bullets(dict.fromkeys(shown(text) for site in refusals for text in site.messages))


def contradictions() -> str:
    """What a record's fields may not say together."""
    (module,) = (module for module in sources.modules() if module.name == "xcnet.spec")
    functions = filter(None, map(module.function, ("_inconsistency", "_wrong_channels")))
    keys = [
        key
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if key is not None
    ]
    return bullets(shown(text) for key in keys for text in sources.templates(key, module, None))


def of_library() -> str:
    """Messages of the C library."""
    return bullets(map(shown, sources.of_library()))


def shown(message: str) -> str:
    """Message as Markdown: what is inserted in italics."""
    pieces = _INSERTED.split(message.replace(CLOSE + OPEN, f"{CLOSE} {OPEN}"))
    pieces[::2] = map(escape, pieces[::2])
    pieces[1::2] = (f"<i>{piece}</i>" for piece in pieces[1::2])
    return "".join(pieces)


def _list(sites: Iterable[Site]) -> str:
    """Each message once, with the modules that say it."""
    modules: dict[str, list[str]] = {}
    for site in sites:
        for message in site.messages:
            if not _INSERTED.sub("", message):
                continue  # made and said elsewhere
            modules.setdefault(message, []).append(site.module)
    return bullets(
        f"{shown(message)} <span class='where'>{', '.join(dict.fromkeys(places))}</span>"
        for message, places in modules.items()
    )
