"""Expressions in ``mf.xc``: PySCF's grammar, read by PySCF's parser, with our names in it."""

from __future__ import annotations

import re
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyscf.dft import libxc as pyscf_libxc

from xcnet import catalogue, registry, variables
from xcnet.adapters.pyscf.layout import KINDS
from xcnet.errors import ExpressionError, UnsupportedError, XCNetError
from xcnet.expression import after_comma, refuse_twice
from xcnet.operators import OrbitalField

Codes = dict[str, int | str]
#: PySCF's decoded description: (exact exchange at short and long range, omega), (id, factor) ...
Parsed = tuple[Sequence[float], Sequence[tuple[int, float]]]

FIRST_NEURAL_ID = 100_100
PLAIN_GRID = 3  # PySCF's own default level, enough for libxc's functionals

_parser_lock = threading.RLock()


@dataclass(frozen=True)
class Plan:
    """How an expression that holds neural functionals is evaluated.

    ``rest`` is an expression of PySCF's for all that is not neural, exact exchange included
    (empty if there is nothing); ``kind`` and ``rest_kind`` are PySCF's ``xc_type`` of the whole
    and of the rest, which is ``HF`` where libxc has nothing to evaluate.
    """

    xc: str
    neural: tuple[tuple[float, registry.Entry], ...]
    rest: str
    kind: str
    rest_kind: str

    @property
    def names(self) -> str:
        """Names of the neural functionals, for messages."""
        return ", ".join(entry.called for _, entry in self.neural) or self.xc

    @property
    def is_nonlocal(self) -> bool:
        """Whether a functional in it needs the density on the whole grid at once."""
        return any(is_nonlocal(entry) for _, entry in self.neural)

    @property
    def has_orbital_fields(self) -> bool:
        """Whether a functional in it reads a descriptor of the density matrix."""
        specs = [entry.spec for _, entry in self.neural if entry.spec is not None]
        kinds = [kind for spec in specs for kind in spec.descriptors.values()]
        return any(isinstance(kind, OrbitalField) for kind in kinds)

    @property
    def grid_level(self) -> int:
        """PySCF grid level that the records ask for; PySCF's default where that is enough."""
        specs = [entry.spec for _, entry in self.neural if entry.spec is not None]
        return max([PLAIN_GRID, *(spec.grid_level for spec in specs)])


def as_text(xc: object) -> str:
    """Description of a functional in any way that PySCF allows, as one string without spaces."""
    if isinstance(xc, (tuple, list)):
        return ",".join(as_text(part) for part in xc)
    return re.sub(r"\s+", "", str(xc))


def holds_neural(text: str) -> bool:
    """Whether a neural functional is named in an expression (from `as_text`)."""
    return _neural_names().search(text) is not None


def sole_neural(text: str) -> registry.Entry | None:
    """Functional that an expression (from `as_text`) consists of, if it is one neural one."""
    return registry.find(text) if _neural_names().fullmatch(text) else None


def make_plan(text: str, previous: Any) -> Plan:
    """Plan of an expression (from `as_text`); `previous` evaluates what is not neural.

    Raises
    ------
    UnknownFunctionalError
        With near matches, for a name that neither PySCF nor the registry knows.
    UnsupportedError
        For a functional that PySCF's Kohn-Sham calculations cannot hold.
    ExpressionError
        If PySCF's parser cannot read the expression.
    """
    hyb, terms = parse(text, previous)
    neural = tuple((f, registry.find(i)) for i, f in terms if i >= registry.FIRST_NEURAL_ID)
    for _, entry in neural:
        _refuse_unsupported(entry)
    others = [(i, factor) for i, factor in terms if i < registry.FIRST_NEURAL_ID]
    rest = _rest(hyb, others)
    rest_kind = previous.xc_type(rest) if others else "HF"
    # One by one: PySCF 2.8 answers this for ids only.
    if any(previous.needs_laplacian(int(i)) for i, _ in others):
        raise UnsupportedError(
            f"{text} holds a functional that needs the Laplacian of the density, which PySCF's "
            "Kohn-Sham matrices lack. Use functionals without it.",
            functional=text,
        )
    kinds = [rest_kind, *(kind_of(entry) for _, entry in neural)]
    return Plan(text, neural, rest, max(kinds, key=KINDS.index), rest_kind)


def parse(text: str, previous: Any) -> Parsed:
    """PySCF's ``parse_xc`` of an expression (from `as_text`) that may hold our names.

    Raises
    ------
    ExpressionError
        It cannot be read, or counts correlation more than once.
    """
    result = _parsed(text, _before_comma(text), previous)
    if any(i >= registry.FIRST_NEURAL_ID for i, _ in result[1]):
        refuse_twice(text, [(factor, registry.find(int(i))) for i, factor in result[1]])
    return result


def _before_comma(text: str) -> str:
    """Expression without the half after the comma where that is the same neural functional.

    Any other that holds exchange is refused there: PySCF would add it to the half before.
    """
    halves = re.split(r",(?![^()]*\))", text)
    if len(halves) != 2:
        return text
    after = [registry.find(match[0]) for match in _neural_names().finditer(halves[1])]
    wrong = [entry for entry in after if entry.kind != "correlation"]
    if not wrong:
        return text
    if sole_neural(halves[0]) == sole_neural(halves[1]) == wrong[0]:
        return halves[0]
    raise after_comma(text, wrong[0])


def _parsed(text: str, meant: str, previous: Any) -> Parsed:
    codes: Codes = {}
    tokens = _neural_names().sub(lambda match: _token(registry.find(match[0]), codes), meant)
    # PySCF takes every E- for a number's exponent; after a name it is a minus.
    tokens = re.sub(r"(?<![\d.])E-", "E+-", tokens, flags=re.IGNORECASE)
    try:
        try:
            return _spliced_parse(tokens, codes, previous)
        except KeyError:
            tokens = _replace_unreadable(tokens, codes, previous)
        return _spliced_parse(tokens, codes, previous)
    except (KeyError, ValueError, IndexError, AssertionError) as error:
        if isinstance(error, XCNetError):
            raise
        hint = ""
        if "/" in text:
            hint = ". A basis set belongs to the molecule: gto.M(..., basis=...)"
        problem = re.sub(r"XCNET\d{10}", lambda token: _name_of(codes[token[0]]), str(error))
        raise ExpressionError(
            f"PySCF's parser cannot read {text!r}: {problem}{hint}", functional=text
        ) from error


def _name_of(code: int | str) -> str:
    """Name of the functional that stands for a code of the parser."""
    return registry.find(code).called if isinstance(code, int) else code


def kind_of(entry: registry.Entry) -> str:
    """PySCF's ``xc_type`` of a functional."""
    return variables.base_family(entry.family).upper()


def is_nonlocal(entry: registry.Entry) -> bool:
    """Whether a functional needs the density on the whole grid at once."""
    return entry.spec is not None and entry.spec.is_nonlocal


def unsupported(plan: Plan, method: str, instead: str = "") -> UnsupportedError:
    """Error for a method that nonlocal functionals do not have."""
    names = ", ".join(e.called for _, e in plan.neural if is_nonlocal(e))
    return UnsupportedError(
        f"{names} is nonlocal: its values at a point depend on the density everywhere, which "
        f"{method} of PySCF does not provide for. Available are energies, nuclear gradients (with "
        "the response of the grid), Hessians by their differences, newton() and internal "
        f"stability of molecules with RKS, UKS and ROKS. {instead}For other methods use a "
        "semilocal functional, such as NN-metaGGA.",
        functional=names,
        method=method,
    )


def _neural_names() -> re.Pattern[str]:
    """Matches any name, alias or id of a neural functional as a whole word.

    Those of the published ones count before they are installed too: the registry says how to.
    """
    names = [
        *catalogue.functionals(),
        *(
            text
            for entry in registry.entries()
            if entry.spec is not None
            for text in (entry.name, *entry.aliases, str(entry.id))
        ),
    ]
    spellings = "|".join(sorted(map(_pattern, names), key=len, reverse=True)) or "(?!)"
    return re.compile(rf"(?<![A-Z0-9_.])(?:{spellings})(?![A-Z0-9_.])", re.IGNORECASE)


def _pattern(name: str) -> str:
    """Regular expression for a name in all spellings that the registry forgives."""
    letters = "[-_]?".join(re.escape(letter) for letter in registry.normalize(name).upper())
    return f"(?:XC[-_]?)?{letters}"


def _token(entry: registry.Entry, codes: Codes) -> str:
    """Word that stands for a functional: free of ``-``, HF, RSH, which PySCF finds in names.

    The same functional has the same word, because some versions of PySCF cache what they parsed.
    """
    number = zlib.crc32(entry.name.encode()) if entry.composite else entry.id
    name = f"XCNET{number:010d}"
    codes[name] = entry.composite or entry.id
    return name


def _spliced_parse(text: str, codes: Codes, previous: Any) -> Parsed:
    with _spliced(codes):
        result: Parsed = previous.parse_xc(text)
    return result


@contextmanager
def _spliced(codes: Codes) -> Iterator[None]:
    """Let PySCF's parser know more names; one thread at a time, since its table is global."""
    with _parser_lock:
        pyscf_libxc.XC_CODES.update(codes)
        try:
            yield
        finally:
            for name in codes:
                del pyscf_libxc.XC_CODES[name]


def _replace_unreadable(text: str, codes: Codes, previous: Any) -> str:
    """Replace names that only the registry knows, such as libxc's in another spelling.

    One that nobody knows is an error that shows the registry's near matches.
    """
    words = re.split(r"([+*,]|(?<=XCNET\d{10})-|-(?=XCNET\d{10}))", text)
    form = "{}," if "," in re.sub(r"\(.*?\)", "", text) else "{}"
    for i, word in enumerate(words):
        form = ",{}" if word == "," else form
        name = word.removeprefix("-")
        if (
            name[:1].isalpha()
            and not any(code in name for code in codes)
            and not _is_readable(form.format(name), previous)
        ):
            words[i] = word.replace(name, _token(registry.find(name), codes))
    return "".join(words)


def _is_readable(text: str, previous: Any) -> bool:
    try:
        previous.parse_xc(text)
    except KeyError:
        return False
    except (ValueError, IndexError):  # a piece of RSH(...): its trouble is not the name
        pass
    return True


def _rest(hyb: Sequence[float], terms: Sequence[tuple[int, float]]) -> str:
    """Expression of PySCF's for exact exchange and libxc's terms, in full precision."""
    short, long, omega = (float(x) for x in hyb)
    parts = [f"{float(factor)!r}*{number}" for number, factor in terms]
    if omega:
        parts.insert(0, f"RSH({omega!r},{long!r},{short - long!r})")
    elif short:
        parts.insert(0, f"{short!r}*HF")
    return "+".join(parts)


def _refuse_unsupported(entry: registry.Entry) -> None:
    """Stop, before any SCF is spent, what Kohn-Sham calculations in PySCF cannot hold."""
    spec = entry.spec
    if spec is not None and "lapl" in spec.inputs:
        reason = "needs the Laplacian of the density, which PySCF's Kohn-Sham matrices lack"
    elif entry.kind == "kinetic":
        reason = "is a functional of the kinetic energy, not of exchange and correlation"
    else:
        return
    raise UnsupportedError(
        f"{entry.called} {reason}. Use a semilocal functional, such as NN-metaGGA.",
        functional=entry.name,
    )
