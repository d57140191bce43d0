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

from xcnet import paths, variables
from xcnet.errors import ModelError

RECORD = "model.json"
SCHEMA = "schema.json"
REFERENCE = "reference.npz"
CARD = "CARD.md"
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
class NearRegion:
    """The nonlocal descriptor ``R(r) = integral of n(r') exp(-|r - r'|/sigma_bohr)``.

    Source: R. Nagai, R. Akashi, O. Sugino, npj Comput. Mater. 6, 43 (2020),
    doi:10.1038/s41524-020-0310-0.
    """

    definition: str
    sigma_bohr: float
    cutoff: float | None = None


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
    descriptors: Mapping[str, NearRegion]
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

    @property
    def graphs(self) -> Mapping[tuple[str, int], str]:
        """Files of all graphs by derivative order and spin."""
        return {
            (order, spin): filename
            for spin, files in (
                (variables.POLARIZED, self.derivatives),
                (variables.UNPOLARIZED, self.closed_shell),
            )
            for order, filename in files.items()
        }

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
        given = hashlib.sha256(data).hexdigest()
        if given != expected:
            raise ModelError(
                f"{self.name}: {self.folder / filename} is altered: its SHA-256 is {given}, "
                f"the record says {expected}. Install the functional again.",
                functional=self.name,
                file=str(self.folder / filename),
                expected=expected,
                given=given,
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
    _validate(record, source)
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
        descriptors=MappingProxyType(
            {name: NearRegion(**value) for name, value in record["descriptors"].items()}
        ),
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


def flatten(record: Mapping[str, Any]) -> dict[str, str]:
    """Record without ``files`` as flat strings, as stored in the ONNX metadata.

    Nested keys and list positions are joined with dots (``xcnet.thresholds.density``,
    ``xcnet.inputs.0``), so that a reader needs no JSON parser.
    """
    flat: dict[str, str] = {}

    def visit(prefix: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, item in value.items():
                visit(f"{prefix}.{key}", item)
        elif isinstance(value, (list, tuple)):
            for i, item in enumerate(value):
                visit(f"{prefix}.{i}", item)
        else:
            flat[prefix] = value if isinstance(value, str) else json.dumps(value)

    visit("xcnet", {key: value for key, value in record.items() if key != "files"})
    return flat


def metadata(record: Mapping[str, Any], order: str, spin: int) -> dict[str, str]:
    """What a graph says of itself: the record, its order, and its spin if for closed shells."""
    only = {"xcnet.spin": "unpolarized"} if spin == variables.UNPOLARIZED else {}
    return {**flatten(record), "xcnet.order": order, **only}


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
def _validator() -> Callable[[Any], Any]:
    # Imported here: only reading folders needs it, and `import xcnet` must stay light.
    import fastjsonschema

    schema = json.loads((paths.models_folder() / SCHEMA).read_text(encoding="utf-8"))
    validator: Callable[[Any], Any] = fastjsonschema.compile(schema)
    return validator


def _validate(record: Any, source: Path) -> None:
    import fastjsonschema

    try:
        _validator()(record)
    except fastjsonschema.JsonSchemaException as error:
        raise ModelError(f"{source}: {_complaint(error)}", file=str(source)) from error


def _complaint(error: Any) -> str:
    """What the schema refuses, without its jargon: ``thresholds: missing field 'tau'``."""
    message = error.message.removeprefix(f"{error.name} ")
    if error.rule == "additionalProperties":
        message = f"unknown field {_quoted(set(error.value) - set(error.definition['properties']))}"
    elif error.rule == "required":
        message = f"missing field {_quoted(set(error.rule_definition) - set(error.value))}"
    elif error.rule == "propertyNames":
        message = f"its names must match {error.rule_definition['pattern']}"
    where = error.name.removeprefix("data").removeprefix(".")
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
    graphs = list(spec.graphs.values())
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
        "the grid-sum near_region needs a cutoff": any(
            d.definition == "grid-sum" and d.cutoff is None for d in spec.descriptors.values()
        ),
    }
    return next((message for message, wrong in checks.items() if wrong), None)
