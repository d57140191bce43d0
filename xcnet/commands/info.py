"""``xcnet info``: what is known of one functional."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np

from xcnet import engine, expression, libxc, registry, variables
from xcnet.registry import Entry
from xcnet.spec import FunctionalSpec

LONG = 12  # items of a list that are not printed one by one


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    parser.add_argument("name", help="name, alias or id: NN-metaGGA, M06-L, 497 ...")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def run(arguments: argparse.Namespace) -> int:
    """Print the facts, one to a line; ModelError if a file of the functional was altered."""
    entry = registry.find(arguments.name)
    if entry.spec is not None:
        entry.spec.verify()
    facts = dict(_facts(entry))
    if arguments.json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
        return 0
    if "training" in facts:
        facts["training"] = _brief(facts["training"])
    width = max(len(key) for key in facts)
    for key, value in facts.items():
        print(f"{key.ljust(width)}  {_text(value)}")
    return 0


def _facts(entry: Entry) -> Iterable[tuple[str, Any]]:
    yield "name", entry.name
    if entry.aliases:
        yield "aliases", list(entry.aliases)
    if not entry.composite:
        yield "id", entry.id
    yield "family", entry.family
    yield "kind", entry.kind
    yield "description", entry.description
    yield "origin", entry.origin
    if entry.spec is not None:
        yield from _neural(entry.spec)
    else:
        yield from _libxc(entry)
    yield "citations", [c.doi or c.text for c in entry.citations]


def _neural(spec: FunctionalSpec) -> Iterable[tuple[str, Any]]:
    record = spec.record
    yield "inputs", list(spec.inputs)
    yield "descriptors", record["descriptors"]
    yield "derivatives", list(variables.ORDERS[: spec.highest_order + 1])
    yield "evaluated by", _engines(spec)
    yield "thresholds", record["thresholds"]
    yield "exact exchange", record["exact_exchange"] if spec.exact_exchange.is_hybrid else None
    yield "dispersion", record["dispersion"]
    yield "grid level", spec.grid_level
    yield "symmetric in the spins", spec.spin_symmetric
    yield "elements", list(spec.elements)
    yield "density range", list(spec.density_range)
    yield "training", record["training"]
    yield "license", spec.license
    yield "folder", str(spec.folder)


def _engines(spec: FunctionalSpec) -> dict[str, str]:
    """Engine of the graphs of each derivative order, and why; alike ones together."""
    orders: dict[str, list[str]] = {}
    for order, name in enumerate(spec.derivatives):
        choice = engine.choose(spec, order)
        text = f"{engine.NAMES[choice.engine]} ({choice.reason})"
        orders.setdefault(text, []).append(name)
    return {", ".join(names): text for text, names in orders.items()}


def _libxc(entry: Entry) -> Iterable[tuple[str, Any]]:
    whole = expression.parse(entry.name)
    parts = [libxc.Functional(term.entry.id, variables.UNPOLARIZED) for term in whole.terms]
    needed = {name for part in parts for name in part.family_variables}
    yield "inputs", [name for name in variables.COMPONENTS if name in needed]
    yield (
        "derivatives",
        [
            order
            for order, flag in zip(variables.ORDERS, variables.FLAG_HAVE, strict=True)
            if all(part.flags & flag for part in parts)
        ],
    )
    if whole.exact_exchange.alpha or whole.exact_exchange.beta:
        yield "exact exchange", asdict(whole.exact_exchange)
    if whole.vv10:
        yield "VV10", {"b": whole.vv10[0], "C": whole.vv10[1]}
    yield "library", f"libxc {libxc.version_string()}"


def _brief(training: dict[str, Any]) -> dict[str, Any]:
    """What a reader wants of it: without tables, hashes and long lists, which --json has."""
    return {
        key: f"{len(value)} systems" if isinstance(value, list) and len(value) > LONG else value
        for key, value in training.items()
        if not isinstance(value, dict) and not key.endswith("sha256")
    }


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list) and value and isinstance(value[0], list):
        return f"{' x '.join(map(str, np.shape(value)))} numbers"
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value) or "none"
    return str(value)
