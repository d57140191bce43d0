"""``xcnet cite``: the references of a functional or a composite expression."""

from __future__ import annotations

import argparse

from xcnet import expression


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument("name", help="name, alias, id, or expression: '0.75*NN-metaGGA + 0.25*HF'")
    parser.add_argument("--bibtex", action="store_true", help="BibTeX entries instead of text")


def run(arguments: argparse.Namespace) -> int:
    """Print each reference once, in the order of the expression's terms."""
    terms = expression.parse(arguments.name).terms
    citations = dict.fromkeys(c for term in terms for c in term.entry.citations)
    if arguments.bibtex:
        print("\n\n".join(citation.bibtex.strip() for citation in citations))
        return 0
    for citation in citations:
        link = f"https://doi.org/{citation.doi}" if citation.doi else ""
        print(f"{citation.text} {'' if citation.doi in citation.text else link}".strip())
    return 0
