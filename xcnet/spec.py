"""The functional folder, format version 1: ``model.json`` read into a frozen record.

Nothing in a folder is executed, and no file is parsed before its SHA-256 has been checked
against the record. The record itself is validated against ``models/schema.json``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from xcnet import operators, paths, variables
from xcnet.errors import ModelError
from xcnet.operators import Descriptor, GridOperator

RECORD = "model.json"
SCHEMA = "schema.json"
REFERENCE = "reference.npz"
CARD = "CARD.md"
#: Output of the graphs of channels, and the input that their derivatives are contracted with.
CHANNELS, ADJOINT = "channels", "adjoint"
#: Output of the first stage that the later graphs read instead of computing it again, and the
#: energy's derivative by it.
HIDDEN, HIDDEN_SLOPES = "hidden", "vhidden"
#: Graphs that hand hidden values over: the first stage, energy and potential, and what pulls the
#: slopes of channels and hidden values back to the variables.
FORWARD, ENERGY, BACKWARD = PARTS = ("forward", "energy", "backward")
#: Fields of the record that results depend on, beside the graphs.
DECISIVE = (
    *("kind", "inputs", "descriptors", "thresholds", "enforce_fhc"),
    *("exact_exchange", "dispersion"),
)
MAX_RECORD_BYTES = 1 << 20
MAX_FILE_BYTES = 1 << 26
#: Of all files but the record together.
MAX_FOLDER_BYTES = 1 << 27
KIND_IN_NAME: Mapping[str, str] = MappingProxyType(
    {"x": "exchange", "c": "correlation", "xc": "exchange-correlation", "k": "kinetic"}
)


@dataclass(frozen=True)
class Citation:
    """One reference: BibTeX key, one-line text, DOI (may be empty) and BibTeX entry."""

    key: str
    text: str
    doi: str
    bibtex: str


@dataclass(frozen=True)
class Thresholds:
    """Floors of the density variables, atomic units; ``sigma`` is that of the gradient's norm."""

    density: float
    zeta: float
    sigma: float
    tau: float


@dataclass(frozen=True)
class ExactExchange:
    """Hybrid parameters in libxc's meaning: ``coefficient`` of a global hybrid, or CAM's three."""

    coefficient: float = 0.0
    omega: float = 0.0
    alpha: float = 0.0
    beta: float = 0.0

    @property
    def is_hybrid(self) -> bool:
        """True when any part of exact exchange belongs to the functional."""
        return bool(self.coefficient or self.alpha or self.beta)


@dataclass(frozen=True)
class Channels:
    """The first stage of a functional: graphs that make what its grid operator acts on.

    Attributes
    ----------
    width : int
        Number of channels.
    graphs : mapping
        Files by derivative order and spin.
    """

    width: int
    graphs: Mapping[tuple[str, int], str]


@dataclass(frozen=True)
class HiddenValues:
    """Hidden values that the first stage hands over, and the graphs that do so.

    Attributes
    ----------
    widths : mapping
        Number of values at a point, by spin.
    graphs : mapping
        Files by part (`PARTS`) and spin.
    """

    widths: Mapping[int, int]
    graphs: Mapping[tuple[str, int], str]


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs of a graph, with the numbers of their components."""

    inputs: Mapping[str, int]
    outputs: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class FunctionalSpec:
    """A functional as its folder describes it.

    Attributes are the fields of ``model.json`` (see ``models/schema.json``), plus ``folder``.
    """

    folder: Path
    name: str
    aliases: tuple[str, ...]
    id: int
    family: str
    kind: str
    description: str
    inputs: tuple[str, ...]
    descriptors: Mapping[str, Descriptor]
    derivatives: Mapping[str, str]
    thresholds: Thresholds
    enforce_fhc: bool
    exact_exchange: ExactExchange
    dispersion: Mapping[str, Any] | None
    grid_level: int
    training: Mapping[str, Any]
    elements: tuple[str, ...]
    density_range: tuple[float, float]
    citations: tuple[Citation, ...]
    license: str
    files: Mapping[str, str]
    record: Mapping[str, Any] = field(repr=False)
    constraints: tuple[str, ...] = ()
    closed_shell: Mapping[str, str] = field(default_factory=dict)
    channels: Channels | None = None
    hidden: HiddenValues | None = None
    spin_symmetric: bool = True

    def __reduce__(self) -> tuple[object, ...]:
        return load_spec, (self.folder,)

    @cached_property
    def variables(self) -> tuple[str, ...]:
        """Inputs of the graphs, density variables in libxc's order before descriptors."""
        return (*self.inputs, *self.descriptors)

    @property
    def highest_order(self) -> int:
        """Highest derivative order that the folder has a graph for."""
        return len(self.derivatives) - 1

    @cached_property
    def graphs(self) -> Mapping[tuple[str, int], str]:
        """Files of the energy's graphs by derivative order and spin."""
        return _by_spin(self.record)

    @cached_property
    def all_graphs(self) -> tuple[tuple[str, int, bool], ...]:
        """Order (or part) and spin of every graph, and whether it is one of channels."""
        first = self.channels.graphs if self.channels else ()
        parts = self.hidden.graphs if self.hidden else ()
        return (
            *((*which, False) for which in (*self.graphs, *parts)),
            *((*which, True) for which in first),
        )

    def graph(self, order: str, spin: int, of_channels: bool = False) -> str:
        """File of a graph, of the energy or of channels; the order may be one of `PARTS`."""
        if order in PARTS and self.hidden is not None:
            return self.hidden.graphs[order, spin]
        if of_channels and self.channels is not None:
            return self.channels.graphs[order, spin]
        return self.graphs[order, spin]

    def signature(self, order: str, spin: int, of_channels: bool = False) -> Signature:
        """Inputs and outputs that a graph must have, in the order of labels. See `graph`."""
        if order in PARTS:
            return self._signature_of_part(order, spin)
        level = variables.ORDERS.index(order)
        names = self.inputs if of_channels else self.variables
        labels = variables.requested_labels(names, [not of_channels, *[True] * level])
        inputs = {name: variables.width(name, spin) for name in names}
        outputs = {label: variables.width(label, spin) for label in labels}
        if not of_channels or self.channels is None:
            return Signature(inputs, outputs)
        count = self.channels.width
        if level:
            inputs[ADJOINT] = count
        if level > 1:
            jacobian = {f"v2{name}{ADJOINT}": variables.width(name, spin) * count for name in names}
            outputs |= jacobian
        return Signature(inputs, {CHANNELS: count, **outputs})

    def _signature_of_part(self, part: str, spin: int) -> Signature:
        assert self.channels is not None
        assert self.hidden is not None
        count, hidden = self.channels.width, self.hidden.widths[spin]
        inputs = {name: variables.width(name, spin) for name in self.inputs}
        slopes = {f"v{name}": width for name, width in inputs.items()}
        if part == FORWARD:
            return Signature(inputs, {CHANNELS: count, HIDDEN: hidden})
        if part == BACKWARD:
            given = {ADJOINT: count, HIDDEN: hidden, HIDDEN_SLOPES: hidden}
            return Signature({**inputs, **given}, slopes)
        whole = self.signature(variables.ORDERS[1], spin)
        return Signature({**whole.inputs, HIDDEN: hidden}, {**whole.outputs, HIDDEN_SLOPES: hidden})

    @cached_property
    def values_sha256(self) -> str:
        """SHA-256 of its reference vector and of what else in the record results depend on.

        A functional keeps it when its card is written anew, or its graphs, as long as they give
        the reference vector to the last bit.
        """
        decisive = {key: self.record[key] for key in DECISIVE}
        text = json.dumps([self.files[REFERENCE], decisive], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def is_nonlocal(self) -> bool:
        """True when evaluation needs the whole grid."""
        return bool(self.descriptors)

    def read(self, filename: str) -> bytes:
        """Return a file of the folder after checking its SHA-256.

        Raises
        ------
        ModelError
            If the file is not in the record, missing, too large, outside the folder, or altered.
        """
        expected = self.files.get(filename)
        if expected is None:
            raise ModelError(
                f"{self.name}: {filename!r} is not in the record {self.folder / RECORD}",
                functional=self.name,
                file=str(self.folder / filename),
            )
        data = _read_limited(self.folder, filename, MAX_FILE_BYTES)
        actual = hashlib.sha256(data).hexdigest()
        if actual != expected:
            raise ModelError(
                f"{self.name}: {self.folder / filename} is altered: its SHA-256 is {actual}, "
                f"the record says {expected}. Install the functional again.",
                functional=self.name,
                file=str(self.folder / filename),
                expected=expected,
                given=actual,
            )
        return data

    def verify(self) -> None:
        """Check every file's hash, their size, and that there is nothing else (ModelError)."""
        total = 0
        for filename in self.files:
            total += len(self.read(filename))
            if total > MAX_FOLDER_BYTES:
                raise ModelError(
                    f"{self.name}: the files of {self.folder} are together larger than "
                    f"{MAX_FOLDER_BYTES} bytes: refused",
                    functional=self.name,
                    file=str(self.folder / filename),
                )
        extra = sorted({p.name for p in self.folder.iterdir()} - {RECORD, *self.files})
        if extra:
            raise ModelError(
                f"{self.name}: {self.folder} holds {', '.join(extra)}, not listed in {RECORD}",
                functional=self.name,
                file=str(self.folder / extra[0]),
            )


def load_spec(folder: str | Path) -> FunctionalSpec:
    """Read and validate the record of a functional folder.

    Raises
    ------
    ModelError
        Naming the folder and the field that is wrong.
    """
    folder = Path(folder).absolute()
    return record_from(record_bytes(folder), folder)


def record_bytes(folder: Path) -> bytes:
    """Content of a folder's ``model.json``, for `record_from` (ModelError)."""
    return _read_limited(folder, RECORD, MAX_RECORD_BYTES)


def record_from(content: bytes, folder: Path) -> FunctionalSpec:
    """Read and validate the content of a ``model.json``; see `load_spec`."""
    source = folder / RECORD
    try:
        record = json.loads(content, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{source} is not valid JSON: {error}", file=str(source)) from error
    return spec_from_record(record, folder)


def spec_from_record(record: Mapping[str, Any], folder: Path) -> FunctionalSpec:
    """Validate a record (a decoded ``model.json``) and freeze it."""
    source = folder / RECORD
    # Before the schema: a newer format deserves a better message than its first unknown field.
    version = record.get("format_version") if isinstance(record, Mapping) else None
    if version != 1:
        raise ModelError(
            f"{source}: format version {version!r} is not one this xcnet reads (1); "
            "a newer xcnet may.",
            file=str(source),
            expected=1,
            given=version,
        )
    _validate(record, source, "", _record_schema())
    domain = record["domain"]
    spec = FunctionalSpec(
        folder=folder,
        name=record["name"],
        aliases=tuple(record["aliases"]),
        id=record["id"],
        family=record["family"],
        kind=record["kind"],
        description=record["description"],
        inputs=tuple(record["inputs"]),
        descriptors=MappingProxyType(_descriptors(record["descriptors"], source)),
        derivatives=MappingProxyType(dict(record["derivatives"])),
        thresholds=Thresholds(**record["thresholds"]),
        enforce_fhc=record["enforce_fhc"],
        exact_exchange=ExactExchange(**record["exact_exchange"]),
        dispersion=record["dispersion"],
        grid_level=record["grid_level"],
        training=record["training"],
        elements=tuple(domain["elements"]),
        density_range=(domain["density"][0], domain["density"][1]),
        citations=tuple(Citation(**c) for c in record["citations"]),
        license=record["license"],
        files=MappingProxyType(dict(record["files"])),
        record=record,
        constraints=tuple(record.get("constraints", ())),
        closed_shell=MappingProxyType(dict(record.get("closed_shell", {}))),
        channels=_channels(record),
        hidden=_hidden(record),
        spin_symmetric=record.get("spin_symmetric", True),
    )
    problem = _inconsistency(spec)
    if problem:
        raise ModelError(f"{source}: {problem}", file=str(source), functional=spec.name)
    return spec


def write_record(record: Mapping[str, Any], folder: Path) -> None:
    """Write ``model.json``; the same record always gives the same bytes."""
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    (folder / RECORD).write_text(text, encoding="utf-8")


def _by_spin(record: Mapping[str, Any]) -> dict[tuple[str, int], str]:
    """Files of graphs by derivative order and spin."""
    kinds = ("derivatives", variables.POLARIZED), ("closed_shell", variables.UNPOLARIZED)
    return {(o, spin): file for key, spin in kinds for o, file in record.get(key, {}).items()}


def _channels(record: Mapping[str, Any]) -> Channels | None:
    if "channels" not in record:
        return None
    first = record["channels"]
    return Channels(first["width"], MappingProxyType(_by_spin(first)))


def _hidden(record: Mapping[str, Any]) -> HiddenValues | None:
    if "hidden" not in record:
        return None
    widths: dict[int, int] = {}
    graphs: dict[tuple[str, int], str] = {}
    for spin, of_spin in enumerate(("closed_shell", "spin_resolved"), variables.UNPOLARIZED):
        if of_spin in record["hidden"]:
            facts = record["hidden"][of_spin]
            widths[spin] = facts["width"]
            graphs |= {(part, spin): facts[part] for part in PARTS}
    return HiddenValues(MappingProxyType(widths), MappingProxyType(graphs))


def _descriptors(record: Mapping[str, Any], source: Path) -> dict[str, Descriptor]:
    """Descriptors of a record, each checked by its own schema."""
    result = {}
    for label, parameters in record.items():
        kind = operators.known().get(label)
        if kind is None:
            raise ModelError(
                f"{source}: descriptors: {label!r} is not known; there are "
                f"{', '.join(operators.known())}. A newer xcnet may know it.",
                file=str(source),
            )
        _validate(parameters, source, f"descriptors.{label}", kind.schema)
        try:
            result[label] = kind.from_record(parameters)
        except ValueError as error:
            raise ModelError(f"{source}: descriptors: {error}", file=str(source)) from error
    return result


def _read_limited(folder: Path, filename: str, limit: int) -> bytes:
    """Read a regular file that lies in the folder itself, up to a size."""
    path = folder / filename
    context: dict[str, object] = {"file": str(path)}
    try:
        if path.resolve().parent != folder.resolve():
            raise ModelError(f"{path} leads out of its folder: refused", **context)
        if not path.exists():
            raise ModelError(f"{path} is missing: the functional folder is incomplete", **context)
        if not path.is_file():  # a pipe would block, a device may have no end
            raise ModelError(f"{path} is not a regular file: refused", **context)
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except (OSError, RuntimeError) as error:  # the latter for links in a circle
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{path} cannot be read: {reason}", **context) from error
    if len(data) > limit:
        raise ModelError(f"{path} is larger than {limit} bytes: refused", **context)
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} occurs twice")
    return result


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not a JSON number")


@cache
def _record_schema() -> Mapping[str, Any]:
    path = paths.models_folder() / SCHEMA
    schema: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


@cache
def _validator(schema: str) -> Callable[[Any], Any]:
    # Imported here: only reading folders needs it, and `import xcnet` must stay light.
    import fastjsonschema

    validator: Callable[[Any], Any] = fastjsonschema.compile(json.loads(schema))
    return validator


def _validate(value: Any, source: Path, where: str, schema: Mapping[str, Any]) -> None:
    import fastjsonschema

    try:
        _validator(json.dumps(schema, default=dict))(value)
    except fastjsonschema.JsonSchemaException as error:
        complaint = _complaint(error, where)
        raise ModelError(f"{source}: {complaint}", file=str(source)) from error


def _complaint(error: Any, prefix: str) -> str:
    """What the schema refuses, without its jargon: ``thresholds: missing field 'tau'``."""
    message = error.message.removeprefix(f"{error.name} ")
    if error.rule == "additionalProperties":
        message = f"unknown field {_quoted(set(error.value) - set(error.definition['properties']))}"
    elif error.rule == "required":
        message = f"missing field {_quoted(set(error.rule_definition) - set(error.value))}"
    elif error.rule == "propertyNames":
        message = f"its names must match {error.rule_definition['pattern']}"
    where = error.name.removeprefix("data").removeprefix(".")
    where = ".".join(filter(None, [prefix, where]))
    return f"{where}: {message}" if where else message


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(map(repr, sorted(names)))


def _inconsistency(spec: FunctionalSpec) -> str | None:
    """First contradiction between fields that the schema cannot express."""
    family_in_name, _, rest = spec.name.removeprefix("hyb_").partition("_")
    if spec.name.startswith("hyb_"):
        family_in_name = f"hyb_{family_in_name}"
    kind_in_name = KIND_IN_NAME[rest.split("_", 1)[0]]
    laplacian = "lapl" in spec.inputs
    allowed: list[tuple[str, ...]] = [variables.family_variables(spec.family, laplacian)]
    if laplacian:
        allowed.append(("rho", "sigma", "lapl"))
    orders = variables.ORDERS[: len(spec.derivatives)]
    graphs = [spec.graph(*which) for which in spec.all_graphs]
    needed = {*graphs, REFERENCE, CARD}
    low, high = spec.density_range
    checks = {
        f"family {spec.family!r} contradicts the name {spec.name!r}": spec.family != family_in_name,
        f"kind {spec.kind!r} contradicts the name {spec.name!r}": spec.kind != kind_in_name,
        f"inputs {list(spec.inputs)} do not fit the family {spec.family!r}": (
            spec.inputs not in allowed
        ),
        "derivatives have a gap: each order needs all lower ones": (
            set(spec.derivatives) != set(orders)
        ),
        "two graphs share one file": len(set(graphs)) < len(graphs),
        f"files lack {', '.join(sorted(needed - set(spec.files)))}": bool(needed - set(spec.files)),
        "closed_shell has other orders than derivatives": (
            bool(spec.closed_shell) and set(spec.closed_shell) != set(spec.derivatives)
        ),
        f"files list {RECORD}, which cannot hold its own hash": RECORD in spec.files,
        "a hyb_ family needs exact exchange, and only it may have any": (
            spec.family.startswith("hyb_") != spec.exact_exchange.is_hybrid
        ),
        "exact_exchange gives both a global coefficient and CAM parameters": bool(
            spec.exact_exchange.coefficient
            and (spec.exact_exchange.alpha or spec.exact_exchange.beta)
        ),
        f"domain.density [{low}, {high}] is not an increasing range": low >= high,
        **_wrong_channels(spec),
        "hidden values need channels, and a functional that is not exchange alone": (
            spec.hidden is not None and (spec.channels is None or spec.kind == "exchange")
        ),
    }
    return next((message for message, wrong in checks.items() if wrong), None)


def _wrong_channels(spec: FunctionalSpec) -> dict[str, bool]:
    """What can be wrong with the first stage."""
    wanted = [d.channels for d in spec.descriptors.values() if isinstance(d, GridOperator)]
    if spec.channels is None:
        return {"a descriptor needs channels, whose graphs are missing": set(wanted) > {1}}
    orders = {spin: {o for o, s in spec.channels.graphs if s == spin} for spin in (1, 2)}
    last = len(orders[variables.POLARIZED])
    return {
        f"{spec.channels.width} channels, and not one descriptor that maps as many": (
            wanted != [spec.channels.width]
        ),
        "channels.derivatives have a gap: each order needs all lower ones": (
            orders[variables.POLARIZED] != set(variables.ORDERS[:last])
        ),
        "channels.closed_shell has other orders than channels.derivatives": (
            bool(orders[variables.UNPOLARIZED])
            and orders[variables.UNPOLARIZED] != orders[variables.POLARIZED]
        ),
    }
