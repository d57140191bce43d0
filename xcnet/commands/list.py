"""``xcnet list``: every functional that a name can mean."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from xcnet import registry, variables
from xcnet.registry import Entry

ORIGINS = ("package", "user", "path", "entry point", "libxc")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument("--family", choices=list(variables.FAMILIES), help="only this family")
    parser.add_argument("--origin", choices=ORIGINS, help="only functionals from there")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def run(arguments: argparse.Namespace) -> int:
    """Print the table, neural functionals last so that a terminal shows them."""
    entries = registry.entries(origin=arguments.origin, family=arguments.family)
    if arguments.json:
        print(json.dumps([_record(entry) for entry in entries], indent=2, ensure_ascii=False))
    else:
        _print_table(sorted(entries, key=lambda e: (e.spec is not None, e.composite is not None)))
    for error in registry.broken():
        print(f"xcnet: left out: {error}", file=sys.stderr)
    return 0


def _record(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "id": _id(entry),
        "aliases": list(entry.aliases),
        "family": entry.family,
        "kind": entry.kind,
        "origin": entry.origin,
        "composite": entry.composite,
        "description": entry.description,
        "folder": str(entry.spec.folder) if entry.spec else None,
    }


def _id(entry: Entry) -> int | None:
    # A usual name of several functionals has no id of its own.
    return None if entry.composite else entry.id


def _print_table(entries: list[Entry]) -> None:
    rows = [("name", "id", "family", "kind", "origin", "alias or meaning")]
    for entry in entries:
        number = _id(entry)
        note = ", ".join(entry.aliases) or entry.composite or ""
        rows.append(
            (
                entry.name,
                "" if number is None else str(number),
                entry.family,
                entry.kind,
                entry.origin,
                note,
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    print(f"{len(entries)} functionals")
