"""``--id NUMBER=NAME``: small numbers for programs that have no room for six digits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xcnet import libxc, native, registry
from xcnet.errors import LibxcNotFoundError, UnsupportedError

#: What the words of the option look like.
FORM = "NUMBER=NAME, as in 901=NN-metaGGA"


def chosen(words: Sequence[str]) -> Mapping[str, int]:
    """Numbers by the functionals' full names.

    Raises
    ------
    UnsupportedError
        Words of another form; a number that is libxc's or another functional's; a functional that
        programs cannot use, or that is libxc's own.
    UnknownFunctionalError
        No functional has the name.
    """
    taken = _taken()
    numbers: dict[str, int] = {}
    for word in words:
        digits, _, name = word.partition("=")
        if not (digits.isascii() and digits.isdecimal() and 0 < int(digits) < 2**31 and name):
            raise UnsupportedError(f"--id {word}: expected {FORM}", argument="--id", given=word)
        spec = registry.find(name).spec
        if spec is None:
            raise UnsupportedError(
                f"--id {word}: {name} is libxc's own and keeps its number", argument="--id"
            )
        if spec.is_nonlocal:
            raise UnsupportedError(
                f"--id {word}: {spec.name} is nonlocal, which no program can use through libxc",
                argument="--id",
            )
        owner = taken.get(int(digits))
        if owner is not None or spec.name in numbers:
            problem = f"{spec.name} has two numbers"
            if owner is not None:
                problem = f"{digits} is the number of {owner}; choose another, 901 for example"
            raise UnsupportedError(f"--id {word}: {problem}", argument="--id", given=word)
        numbers[spec.name] = int(digits)
        taken[int(digits)] = spec.name
    return numbers


def _taken() -> dict[int, str]:
    """Numbers of libxc's functionals and of ours; the library asks the program's own libxc."""
    try:
        own = {number: f"libxc's {name}" for name, number in libxc.names().items()}
    except LibxcNotFoundError:
        own = {}
    return own | {spec.id: spec.name for spec in native.specs()}
