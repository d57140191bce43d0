"""Parts of pages that are made from the code when the pages are built, so that none goes stale.

A line ``<!-- generated: NAME ARGUMENT -->`` of a page is replaced by the Markdown that the
generator NAME returns for the argument.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from docs.generate import commands, folder, messages, paper, reports

#: Name of a generator -> what makes its Markdown from the text after the name.
GENERATORS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        "commands": lambda argument: commands.reference(),
        "components": lambda argument: folder.components(),
        "contradictions": lambda argument: messages.contradictions(),
        "descriptors": lambda argument: folder.descriptors(),
        "errors": messages.errors,
        "graph-refusals": lambda argument: messages.graph_refusals(),
        "library-messages": lambda argument: messages.of_library(),
        "limits": lambda argument: folder.limits(),
        "nn-r2scan": lambda argument: reports.stand_in(),
        "operators": lambda argument: folder.operators(),
        "paper": lambda argument: paper.beside(),
        "record": lambda argument: folder.record(),
        "reports": lambda argument: reports.listing(),
        "trained": lambda argument: reports.trained(),
        "warnings": lambda argument: messages.warnings(),
    }
)
_MARK = re.compile(r"^( *)<!-- generated: ([a-z0-9-]+) ?(.*?) ?-->$", re.MULTILINE)


def fill(text: str) -> str:
    """Page with its generated parts (KeyError: no such generator)."""
    return _MARK.sub(lambda mark: mark[1] + GENERATORS[mark[2]](mark[3]).strip(), text)
