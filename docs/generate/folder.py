"""Tables of the functional folder's format, from the schema and the code that reads folders."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from docs.generate.markdown import table
from xcnet import graphs, paths, spec, variables
from xcnet.check import integrity
from xcnet.graphs import model, shapes
from xcnet.operators import known as operators_known


def record() -> str:
    """Fields of ``model.json``."""
    schema = json.loads((paths.models_folder() / spec.SCHEMA).read_text(encoding="utf-8"))
    return table(["field", "must be"], _fields(schema, schema["definitions"], ""))


def _fields(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str
) -> Iterator[list[str]]:
    required = schema.get("required", ())
    for name, description in schema["properties"].items():
        field = _resolved(description, definitions)
        where = f"{prefix}{name}"
        optional = "" if name in required else " (optional)"
        what = f"; {field['description']}" if "description" in field else ""
        yield [f"`{where}`{optional}", _rule(field, definitions) + what]
        inner, dots = field, "."
        if field.get("type") == "array":
            inner, dots = _resolved(field.get("items", {}), definitions), "[]."
        for choice in (inner, *inner.get("oneOf", ())):
            if "properties" in choice:
                yield from _fields(choice, definitions, f"{where}{dots}")


def _resolved(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    reference = field.get("$ref", "").removeprefix("#/definitions/")
    return {**definitions.get(reference, {}), **field}


def _rule(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Type and bounds of a field in words."""
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    if "enum" in field:
        return ", ".join(f"`{json.dumps(value)}`" for value in field["enum"])
    if "oneOf" in field:
        return " or ".join(_rule(choice, definitions) for choice in field["oneOf"])
    words = [str(field.get("type", "object"))]
    if "items" in field:
        words.append(f"of {_rule(_resolved(field['items'], definitions), definitions)}")
    if isinstance(field.get("additionalProperties"), dict):
        inner = _resolved(field["additionalProperties"], definitions)
        words.append(f"of {_rule(inner, definitions)}")
    if field.get("minItems", -1) == field.get("maxItems"):
        words.insert(1, f"({field['maxItems']})")
    else:
        words += [text.format(field[key]) for key, text in _LENGTHS.items() if key in field]
    bounds = [text.format(field[key]) for key, text in _BOUNDS.items() if key in field]
    return " ".join([*words, ", ".join(bounds)]).strip()


_BOUNDS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
}
_LENGTHS = {
    "pattern": "`{}`",
    "maxLength": "(at most {} characters)",
    "minItems": "(at least {})",
    "maxItems": "(at most {})",
    "minProperties": "(at least {})",
    "maxProperties": "(at most {})",
}


def descriptors() -> str:
    """Descriptors that there are, with their parameters."""
    rows = []
    for label, kind in operators_known().items():
        spins = " for each spin" if kind.spin_resolved else ""
        rows.append([f"`{label}`", f"{kind.width}{spins}", kind.schema["description"]])
        rows += [[name, "", what] for name, what in _fields(kind.schema, {}, f"{label}.")]
    return table(["descriptor", "values at a point", "what it is; parameters"], rows)


def operators() -> str:
    """Operators that a graph may use."""
    return ", ".join(f"`{name}`" for name in sorted(graphs.OPERATORS))


def limits() -> str:
    """Largest sizes of everything in a folder."""
    rows = {
        "`model.json`": f"{spec.MAX_RECORD_BYTES >> 20} MiB",
        "every other file": f"{spec.MAX_FILE_BYTES >> 20} MiB",
        "all files but `model.json` together": f"{spec.MAX_FOLDER_BYTES >> 20} MiB",
        "`reference.npz`, unpacked": f"{integrity.MAX_REFERENCE_BYTES >> 20} MiB",
        "nodes of a graph": f"{model.MAX_NODES:,}",
        "constants of a graph": f"{model.MAX_CONSTANTS:,}",
        "values per point of one result": f"{shapes.MAX_WIDTH:,}",
        "values per point needed at the same time": f"{graphs.MAX_LIVE:,}",
        "metadata entries of a graph": f"{model.MAX_METADATA:,}",
    }
    return table(["", "at most"], [list(row) for row in rows.items()])


def components() -> str:
    """Inputs and outputs of a meta-GGA's graphs, with their components."""
    names = variables.family_variables("mgga")
    rows = [[f"`{name}`", "input", *_order(name)] for name in names]
    for order, title in enumerate(variables.ORDERS[:3]):
        rows += [[f"`{label}`", title, *_order(label)] for label in variables.labels(names, order)]
    return table(["array", "", "polarized width", "components, in order"], rows)


#: Letters of a variable's components.
_SPINS = {2: ("a", "b"), 3: ("aa", "ab", "bb")}


def _order(name: str) -> list[str]:
    width = variables.width(name, variables.POLARIZED)
    if name in variables.COMPONENTS:
        return [str(width), ", ".join(_SPINS[width])]
    labels = [
        "·".join(_SPINS[variables.width(v, variables.POLARIZED)][i] for v, i in factors)
        for factors in variables.components(name, variables.POLARIZED)
    ]
    return [str(width), ", ".join(labels)]
