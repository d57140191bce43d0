"""Every functional that a name, alias or id can mean: neural folders and libxc's own list.

Neural functionals are folders of data, found by scanning the package, the user's folder,
``XCNET_MODEL_PATH`` and the entry points ``xcnet.models``; adding one touches no code.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from types import MappingProxyType

from xcnet import catalogue, libxc, paths
from xcnet.errors import (
    LibxcNotFoundError,
    ModelError,
    RegistryError,
    UnknownFunctionalError,
)
from xcnet.spec import KIND_IN_NAME, RECORD, Citation, FunctionalSpec, load_spec

MODEL_PATH_VARIABLE = "XCNET_MODEL_PATH"
ENTRY_POINTS = "xcnet.models"
#: Ids from here on are those of neural functionals.
FIRST_NEURAL_ID = 100_000

#: What users mean by the usual names: libxc's pairs, and the hybrids that libxc calls otherwise.
COMPOSITES: Mapping[str, str] = MappingProxyType(
    {
        "SVWN": "LDA_X + LDA_C_VWN",
        "LDA": "LDA_X + LDA_C_PW",
        "PW92": "LDA_X + LDA_C_PW",
        "PBE": "GGA_X_PBE + GGA_C_PBE",
        "PBEsol": "GGA_X_PBE_SOL + GGA_C_PBE_SOL",
        "revPBE": "GGA_X_PBE_R + GGA_C_PBE",
        "RPBE": "GGA_X_RPBE + GGA_C_PBE",
        "BLYP": "GGA_X_B88 + GGA_C_LYP",
        "BP86": "GGA_X_B88 + GGA_C_P86",
        "PW91": "GGA_X_PW91 + GGA_C_PW91",
        "TPSS": "MGGA_X_TPSS + MGGA_C_TPSS",
        "revTPSS": "MGGA_X_REVTPSS + MGGA_C_REVTPSS",
        "SCAN": "MGGA_X_SCAN + MGGA_C_SCAN",
        "rSCAN": "MGGA_X_RSCAN + MGGA_C_RSCAN",
        "r2SCAN": "MGGA_X_R2SCAN + MGGA_C_R2SCAN",
        "M06-L": "MGGA_X_M06_L + MGGA_C_M06_L",
        "revM06-L": "MGGA_X_REVM06_L + MGGA_C_REVM06_L",
        "M11-L": "MGGA_X_M11_L + MGGA_C_M11_L",
        "MN12-L": "MGGA_X_MN12_L + MGGA_C_MN12_L",
        "MN15-L": "MGGA_X_MN15_L + MGGA_C_MN15_L",
        "B97M-V": "MGGA_XC_B97M_V",
        "M05": "HYB_MGGA_X_M05 + MGGA_C_M05",
        "M05-2X": "HYB_MGGA_X_M05_2X + MGGA_C_M05_2X",
        "M06": "HYB_MGGA_X_M06 + MGGA_C_M06",
        "M06-2X": "HYB_MGGA_X_M06_2X + MGGA_C_M06_2X",
        "M06-HF": "HYB_MGGA_X_M06_HF + MGGA_C_M06_HF",
        "MN15": "HYB_MGGA_X_MN15 + MGGA_C_MN15",
        "B3LYP": "HYB_GGA_XC_B3LYP",
        "B3LYP5": "HYB_GGA_XC_B3LYP5",
        "X3LYP": "HYB_GGA_XC_X3LYP",
        "O3LYP": "HYB_GGA_XC_O3LYP",
        "B3PW91": "HYB_GGA_XC_B3PW91",
        "BHandHLYP": "HYB_GGA_XC_BHANDHLYP",
        "PBE0": "HYB_GGA_XC_PBEH",
        "HSE06": "HYB_GGA_XC_HSE06",
        "CAM-B3LYP": "HYB_GGA_XC_CAM_B3LYP",
        "wB97": "HYB_GGA_XC_WB97",
        "wB97X": "HYB_GGA_XC_WB97X",
        "wB97X-V": "HYB_GGA_XC_WB97X_V",
        "wB97M-V": "HYB_MGGA_XC_WB97M_V",
        "TPSSh": "HYB_MGGA_XC_TPSSH",
    }
)

_listeners: list[Callable[[], None]] = []
_included: list[Path] = []


@dataclass(frozen=True)
class Entry:
    """One registered functional.

    ``origin`` is ``package``, ``user``, ``path``, ``entry point``, ``folder`` or ``libxc``;
    ``spec`` is the record of a neural functional, ``composite`` the expression that a usual name
    stands for.
    """

    name: str
    id: int
    aliases: tuple[str, ...]
    family: str
    kind: str
    origin: str
    spec: FunctionalSpec | None = None
    composite: str | None = None

    @property
    def called(self) -> str:
        """The name that people use, which is the first alias."""
        return self.aliases[0] if self.aliases else self.name

    @property
    def description(self) -> str:
        """What the functional is, in one line."""
        if self.spec is not None:
            return self.spec.description
        if self.composite is not None:
            return self.composite
        return libxc.Functional(self.id, 1).description

    @property
    def citations(self) -> tuple[Citation, ...]:
        """References of the functional; those of all parts for a usual name of a pair."""
        if self.spec is not None:
            return self.spec.citations
        parts = [find(part) for part in self.parts] if self.composite else [self]
        cited = [c for part in parts for c in _libxc_citations(part.id)]
        return tuple(dict.fromkeys(cited))

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the functionals that a usual name stands for."""
        return tuple(part.strip() for part in (self.composite or self.name).split("+"))


def entry_of(spec: FunctionalSpec, origin: str) -> Entry:
    """Entry of a functional folder."""
    return Entry(spec.name, spec.id, spec.aliases, spec.family, spec.kind, origin, spec=spec)


def normalize(name: str) -> str:
    """Form under which names are compared: case, ``-``, ``_`` and the ``XC_`` prefix forgiven."""
    folded = name.strip().lower().replace("-", "_")
    return folded.removeprefix("xc_").replace("_", "")


def user_folder() -> Path:
    """Folder of the functionals that the user installed."""
    import platformdirs

    return platformdirs.user_data_path("xcnet", appauthor=False) / "models"


def find(name: str | int) -> Entry:
    """Entry of a name, alias or id.

    Raises
    ------
    UnknownFunctionalError
        With the nearest registered names.
    ModelError
        The name belongs to a folder that cannot be read.
    """
    table = _table()
    key = normalize(str(name)) if isinstance(name, str) else int(name)
    if isinstance(key, str) and key.isdecimal():
        key = int(key)
    if key in table.broken:
        raise table.broken[key]
    if key in table.entries:
        return table.entries[key]
    raise _unknown(name, table)


def record(source: str) -> FunctionalSpec | None:
    """Record of a folder's path or of a registered name; None for libxc's and for mixtures.

    Raises
    ------
    ModelError
        The folder cannot be read.
    """
    if os.sep in source or (Path(source) / RECORD).is_file():
        return load_spec(source)
    try:
        return find(source).spec
    except UnknownFunctionalError:
        return None  # an expression, or an error of its own


def entries(origin: str | None = None, family: str | None = None) -> list[Entry]:
    """Registered functionals, neural ones first, each once; optionally of one origin or family."""
    unique = dict.fromkeys(_table().entries.values())
    return [e for e in unique if origin in (None, e.origin) and family in (None, e.family)]


def broken() -> list[ModelError]:
    """Errors of the folders that were found but cannot be read."""
    return list(dict.fromkeys(_table().broken.values()))


def refresh() -> None:
    """Scan again at the next look-up (after folders were added or removed)."""
    _scan.cache_clear()
    for callback in _listeners:
        callback()


@contextmanager
def including(folder: Path) -> Iterator[None]:
    """Know the functionals of one more folder, in this process and for a while."""
    _included.append(folder)
    refresh()
    try:
        yield
    finally:
        _included.remove(folder)
        refresh()


def on_change(callback: Callable[[], None]) -> None:
    """Have a function called after each `refresh`, by a host that keeps a list of its own."""
    _listeners.append(callback)


def no_change(callback: Callable[[], None]) -> None:
    """Undo `on_change`."""
    _listeners.remove(callback)


def state() -> object:
    """Token that is another object whenever other functionals are registered, for caches."""
    return _table()


@dataclass(frozen=True)
class _Table:
    entries: Mapping[str | int, Entry]
    broken: Mapping[str | int, ModelError]


def _table() -> _Table:
    return _scan(os.environ.get(MODEL_PATH_VARIABLE, ""), user_folder(), tuple(_included))


@lru_cache(maxsize=8)
def _scan(model_path: str, user: Path, included: tuple[Path, ...]) -> _Table:
    table: dict[str | int, Entry] = {}
    broken_folders: dict[str | int, ModelError] = {}
    seen: set[Path] = set()
    for origin, folder in _folders(model_path, user, included):
        if folder.resolve() in seen:
            continue
        seen.add(folder.resolve())
        try:
            spec = load_spec(folder)
        except ModelError as error:
            broken_folders.setdefault(normalize(folder.name), error)
            continue
        entry = entry_of(spec, origin)
        for key in _keys(entry):
            _claim(table, key, entry)
    for entry in _libxc_entries():
        # libxc 7's internal lda_k_gds08_worker has the id 100001: it is found by its name only.
        for key in _keys(entry) - ({entry.id} if entry.id >= FIRST_NEURAL_ID else set()):
            _claim(table, key, entry)
    for name, composite in COMPOSITES.items():  # "PBE_x" and "PBE_c", unless that is something else
        for part, kind in zip(composite.split(" + "), "xc", strict=False):
            if "+" in composite and normalize(part) in table:
                table.setdefault(normalize(f"{name}_{kind}"), table[normalize(part)])
    return _Table(table, broken_folders)


def _keys(entry: Entry) -> set[str | int]:
    keys: set[str | int] = {normalize(text) for text in (entry.name, *entry.aliases)}
    return keys | {entry.id} if entry.id >= 0 else keys


def _claim(table: dict[str | int, Entry], key: str | int, entry: Entry) -> None:
    other = table.setdefault(key, entry)
    if other is entry:
        return
    places = [str(e.spec.folder) if e.spec else "libxc" for e in (other, entry)]
    what = f"id {key}" if isinstance(key, int) else f"name or alias {key!r}"
    raise RegistryError(
        f"two functionals claim the {what}: {other.name} ({places[0]}) and "
        f"{entry.name} ({places[1]}). Remove or rename one of them.",
        given=key,
        folders=places,
    )


def roots() -> list[Path]:
    """Folders that functionals are looked for in; they need not be there."""
    model_path = os.environ.get(MODEL_PATH_VARIABLE, "")
    return [root for _, root in _roots(model_path, user_folder(), tuple(_included))]


def _roots(model_path: str, user: Path, included: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    yield "package", paths.models_folder()
    yield "user", user
    yield from (("path", Path(item).expanduser()) for item in model_path.split(os.pathsep) if item)
    yield from (("path", folder) for folder in included)
    yield from (("entry point", folder) for folder in _entry_point_folders())


def _folders(model_path: str, user: Path, included: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    """Candidate functional folders with the origin they come from."""
    for origin, root in _roots(model_path, user, included):
        if (root / RECORD).is_file():
            yield origin, root
        elif root.is_dir():
            # A folder without a record is incomplete, and named when its functional is asked for.
            # Names with a dot are installations under way and files that systems leave behind.
            for folder in sorted(root.iterdir()):
                if folder.is_dir() and not folder.name.startswith((".", "_")):
                    yield origin, folder


def _entry_point_folders() -> Iterator[Path]:
    """Folders named by the entry points: dotted packages, located without importing them."""
    for point in metadata.entry_points(group=ENTRY_POINTS):
        package, *rest = point.value.split(".")
        spec = importlib.util.find_spec(package)
        for location in (spec.submodule_search_locations or ()) if spec else ():
            yield Path(location, *rest)


def _libxc_entries() -> Iterator[Entry]:
    """libxc's list and the usual names; nothing when there is no libxc."""
    try:
        names = libxc.names()
    except LibxcNotFoundError:
        if os.environ.get(libxc.ENVIRONMENT_VARIABLE):
            raise  # the user named a library: going on without it would hide the mistake
        return
    for name, number in names.items():
        family, kind = _family_and_kind(name)
        yield Entry(name, number, (), family, kind, "libxc")
    taken = {normalize(name) for name in names}
    for name, composite in COMPOSITES.items():
        parts = [part.strip().lower() for part in composite.split("+")]
        if normalize(name) in taken or not set(parts) <= set(names):
            continue
        family = max((_family_and_kind(part)[0] for part in parts), key=_rank)
        yield Entry(name, -1, (), family, "exchange-correlation", "libxc", composite=composite)


def _family_and_kind(name: str) -> tuple[str, str]:
    """Family and kind that a libxc name states (``hyb_gga_xc_b3lyp``)."""
    words = name.split("_")
    family = "_".join(words[:2]) if words[0] == "hyb" else words[0]
    return family, KIND_IN_NAME.get(words[family.count("_") + 1], "exchange-correlation")


def _rank(family: str) -> tuple[int, bool]:
    # The pair of a hybrid meta-GGA exchange and a meta-GGA correlation is a hybrid meta-GGA.
    return ("lda", "gga", "mgga").index(family.removeprefix("hyb_")), family.startswith("hyb_")


def _libxc_citations(number: int) -> list[Citation]:
    functional = libxc.Functional(number, 1)
    return [Citation(key, ref, doi, bib) for ref, bib, doi, key in functional.citations]


def _unknown(name: str | int, table: _Table) -> UnknownFunctionalError:
    published = {
        normalize(value): (value, collection.name)
        for collection in catalogue.collections().values()
        for value in (*collection.functionals, *collection.names)
    }
    if isinstance(name, str) and normalize(name) in published:
        value, collection = published[normalize(name)]
        return UnknownFunctionalError(
            f"{value} is not installed: run `xcnet models install {collection}`.",
            functional=name,
            near=[value],
        )
    if not isinstance(name, str):
        return UnknownFunctionalError(
            f"no functional has the id {name}; `xcnet list` shows all", functional=name
        )
    spelled = {
        normalize(text): text for e in table.entries.values() for text in (e.name, *e.aliases)
    }
    near = _halves(name, table)
    near += [spelled[k] for k in difflib.get_close_matches(normalize(name), spelled, 4, 0.6)]
    near = list(dict.fromkeys(near))
    hint = f"Did you mean {', '.join(near)}?" if near else "`xcnet list` shows all."
    return UnknownFunctionalError(
        f"unknown functional {name!r}. {hint}{_absent(table)}", functional=name, near=near
    )


def _halves(name: str, table: _Table) -> list[str]:
    """libxc's names of exchange or correlation that others call by its last word, as LYP or B88."""
    ending = name.strip().lower().replace("-", "_")
    names = dict.fromkeys(entry.name for entry in table.entries.values() if entry.spec is None)
    return [half for half in names if re.fullmatch(rf"\w+_[xc]_{re.escape(ending)}", half)]


def _absent(table: _Table) -> str:
    """What could not be searched, for the error of an unknown name."""
    listed = [p for p in os.environ.get(MODEL_PATH_VARIABLE, "").split(os.pathsep) if p]
    gone = [p for p in listed if not Path(p).expanduser().is_dir()]
    text = f" {MODEL_PATH_VARIABLE} names {', '.join(gone)}: no such folder." if gone else ""
    for broken_folder in dict.fromkeys(table.broken.values()):
        text += f" A folder that cannot be used: {broken_folder}."
    try:
        libxc.library()
    except LibxcNotFoundError as error:
        text += f" libxc's functionals are not available: {error.message}"
    return text
