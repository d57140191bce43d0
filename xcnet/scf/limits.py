"""What values a setting may have, in the words of JSON Schema, which those of records are in."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from xcnet import paths
from xcnet.spec import SCHEMA

Rules = Mapping[str, Any]

POSITIVE: Rules = {"exclusiveMinimum": 0}
NOT_NEGATIVE: Rules = {"minimum": 0}
COUNT: Rules = {"minimum": 1}
WIDTHS: Rules = {"minItems": 1, "items": COUNT}
NAME: Rules = {"minLength": 1}
NAMES: Rules = {"minItems": 1, "uniqueItems": True, "items": NAME}
#: PySCF's.
GRID_LEVEL: Rules = {"minimum": 0, "maximum": 9}
#: Densities below are dropped, bohr^-3; a higher one would cut off what chemistry is made of.
LEAST_DENSITY: Rules = {"exclusiveMinimum": 0, "maximum": 1e-3}

_Test = Callable[[Any, Any], bool]
#: Rule -> whether a value keeps it, and what it asks for.
_RULES: Mapping[str, tuple[_Test, str]] = MappingProxyType(
    {
        "minimum": (operator.ge, "at least {}"),
        "exclusiveMinimum": (operator.gt, "greater than {}"),
        "maximum": (operator.le, "at most {}"),
        "enum": (lambda value, known: value in known, "one of {}"),
        "pattern": (lambda value, form: bool(re.fullmatch(form, value)), "text that matches {}"),
        "minLength": (lambda value, least: len(value) >= least, "{} or more characters long"),
        "maxLength": (lambda value, most: len(value) <= most, "{} or fewer characters long"),
        "minItems": (lambda value, least: len(value) >= least, "a list of {} or more"),
        "uniqueItems": (lambda value, _: len(set(value)) == len(value), "without repetition"),
    }
)


def complaint(value: Any, rules: Rules) -> str:
    """What a value must be and is not; empty if it keeps the rules."""
    if "items" in rules:
        entries = (complaint(item, rules["items"]) for item in value)
        if found := next(filter(None, entries), ""):
            return f"a list whose entries are {found}"
    chosen = {key: rule for key, rule in rules.items() if key in _RULES}
    if all(_RULES[key][0](value, rule) for key, rule in chosen.items()):
        return ""
    return " and ".join(_RULES[key][1].format(_shown(rule)) for key, rule in chosen.items())


@cache
def of_record(field: str) -> Rules:
    """Rules of a field of functionals' records; of each entry, where the field is a list."""
    schema = json.loads((paths.models_folder() / SCHEMA).read_text(encoding="utf-8"))
    found: dict[str, Any] = schema["properties"][field]
    found = found.get("items", found)
    reference = found.get("$ref", "").removeprefix("#/definitions/")
    return {**found, **schema["definitions"].get(reference, {})}


def _shown(rule: Any) -> str:
    return ", ".join(map(str, rule)) if isinstance(rule, tuple) else str(rule)
