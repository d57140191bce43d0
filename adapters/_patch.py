"""Attributes of a host that are replaced, and put back: one mechanism for all adapters."""

from __future__ import annotations

import sys
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any

#: Makes a replacement from what was there before.
Maker = Callable[[Any], Any]

_ABSENT = object()


@dataclass(frozen=True, eq=False)
class _Patch:
    owner: Any
    name: str
    before: Any  # _ABSENT where the owner only inherits it
    ours: Any

    def is_in_place(self) -> bool:
        return _own(self.owner).get(self.name, _ABSENT) is self.ours

    def undo(self) -> None:
        if isinstance(self.owner, MutableMapping):
            self.owner[self.name] = self.before
        elif self.before is _ABSENT:
            delattr(self.owner, self.name)
        else:
            setattr(self.owner, self.name, self.before)


class Patches:
    """Replacements in the modules, classes and tables of a host.

    Several on one attribute lie on top of each other, each made from the one below.
    """

    def __init__(self) -> None:
        self._patches: list[_Patch] = []

    def __bool__(self) -> bool:
        return bool(self._patches)

    def put(self, owner: Any, name: str, make: Maker) -> None:
        """Replace an attribute of a module or class, or an item of a table.

        Parameters
        ----------
        owner
            A module, a class, or a dictionary.
        name
            Of the attribute, or key of the item.
        make
            Gets what is there, as the owner holds it (a method as a function), and returns what
            takes its place.

        Raises
        ------
        AttributeError, KeyError
            Nothing of this name is there.
        """
        own = _own(owner)
        before = own.get(name, _ABSENT)
        if before is not _ABSENT:
            original = before
        elif isinstance(owner, MutableMapping):
            raise KeyError(name)
        else:
            original = getattr(owner, name)
        patch = _Patch(owner, name, before, make(original))
        if isinstance(owner, MutableMapping):
            owner[name] = patch.ours
        else:
            setattr(owner, name, patch.ours)
        self._patches.append(patch)

    def put_everywhere(
        self, package: str, function: FunctionType, make: Maker, *tables: dict[str, Any]
    ) -> None:
        """Replace a function by the same one under all names that a host has for it.

        Parameters
        ----------
        package
            Whose modules hold it: they import functions from one another by name.
        function
            Written in Python.
        make
            Gets the function, and returns what takes its place.
        tables
            Dictionaries that hold it as well.
        """
        ours = make(function)
        modules = [m for name, m in sys.modules.items() if name.split(".")[0] == package]
        for owner in (*modules, *tables):
            for name in [key for key, value in _own(owner).items() if value is function]:
                self.put(owner, name, lambda _: ours)

    def remove(self) -> None:
        """Put everything back, but for what somebody else has replaced since."""
        while self._patches:
            patch = self._patches.pop()
            if patch.is_in_place():
                patch.undo()


def _own(owner: Any) -> Any:
    return owner if isinstance(owner, MutableMapping) else vars(owner)
