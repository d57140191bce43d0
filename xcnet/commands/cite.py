"""``xcnet cite``: the references of a functional or a composite expression."""

from __future__ import annotations

import argparse

from xcnet import citation, expression, registry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument(
        "name",
        help="name, alias, id, or expression: '0.75*NN-metaGGA + 0.25*HF'; xcnet for the software",
    )
    parser.add_argument("--bibtex", action="store_true", help="BibTeX entries instead of text")


def run(arguments: argparse.Namespace) -> int:
    """Print each reference once, in the order of the expression's terms."""
    if registry.normalize(arguments.name) == citation.KEY:
        print(citation.bibtex() if arguments.bibtex else citation.text())
        return 0
    terms = expression.parse(arguments.name).terms
    citations = dict.fromkeys(c for term in terms for c in term.entry.citations)
    if arguments.bibtex:
        entries = (citation.bibtex() if c.key == citation.KEY else c.bibtex for c in citations)
        print("\n\n".join(entry.strip() for entry in entries))
        return 0
    for c in citations:
        link = f"https://doi.org/{c.doi}" if c.doi else ""
        print(f"{c.text} {'' if c.doi in c.text else link}".strip())
    return 0
