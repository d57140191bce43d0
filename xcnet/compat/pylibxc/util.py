"""``pylibxc.util``: libxc's version and the list of functionals, with xcnet's own in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xcnet import libxc, registry, variables
from xcnet.errors import ArgumentTypeError, UnknownFunctionalError


def xc_version() -> tuple[int, ...]:
    """Return libxc's version: (major, minor, micro)."""
    return libxc.version()


def xc_version_string() -> str:
    """Return libxc's version as text."""
    return libxc.version_string()


def xc_reference() -> str:
    """Return the article to cite for libxc."""
    return libxc.reference().ref


def xc_reference_doi() -> str:
    """Return the DOI of libxc's article."""
    return libxc.reference().doi


def xc_reference_key() -> str:
    """Return the BibTeX key of libxc's article."""
    return libxc.reference().key


def xc_functional_get_number(name: str) -> int:
    """Return the number of a functional; -1 where no single functional has the name.

    Raises
    ------
    ArgumentTypeError
        The name is not a string.
    """
    if not isinstance(name, str):
        reason = f"a functional's name is a str, not {type(name).__name__}"
        raise ArgumentTypeError(reason, argument="name")
    try:
        return registry.find(name).id
    except UnknownFunctionalError:
        return -1


def xc_functional_get_name(func_id: int) -> str | None:
    """Return the name of a functional; None where no functional has the number.

    Raises
    ------
    ArgumentTypeError
        The number is not an integer.
    """
    entry = _entry(func_id)
    return None if entry is None else entry.name


def xc_family_from_id(func_id: int) -> tuple[int, int]:
    """Return the family and libxc's position in it; (0, 0) where no functional has the number.

    xcnet's functionals have no position among libxc's: -1.

    Raises
    ------
    ArgumentTypeError
        The number is not an integer.
    """
    entry = _entry(func_id)
    if entry is None:
        return 0, 0
    if entry.origin == "libxc":
        return libxc.family_from_id(entry.id)
    return variables.FAMILIES[entry.family], -1


def xc_number_of_functionals() -> int:
    """Count all functionals, libxc's and xcnet's."""
    return len(_entries())


def xc_available_functional_numbers() -> NDArray[np.intc]:
    """Return the numbers of all functionals, sorted."""
    return np.array(sorted(entry.id for entry in _entries()), dtype=np.intc)


def xc_available_functional_names() -> list[str]:
    """Return the names of all functionals: libxc's by family and name, then xcnet's by number."""
    return [entry.name for entry in _entries()]


def _entry(func_id: int) -> registry.Entry | None:
    if not isinstance(func_id, int | np.integer):
        reason = f"a functional's number is an int, not {type(func_id).__name__}"
        raise ArgumentTypeError(reason, argument="func_id")
    try:
        return registry.find(int(func_id))
    except UnknownFunctionalError:
        return None


def _entries() -> list[registry.Entry]:
    """Functionals that have a number, so without the usual names of libxc's pairs."""
    numbered = [entry for entry in registry.entries() if entry.id >= 0]
    own = sorted((e for e in numbered if e.origin != "libxc"), key=lambda entry: entry.id)
    return [entry for entry in numbered if entry.origin == "libxc"] + own
