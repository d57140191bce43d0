"""The package's errors: one base, each carrying the context a user needs to act.

Every class also inherits the built-in exception that libxc's own Python binding raises in
the same situation, so programs written for pylibxc keep their ``except`` clauses.
"""

from __future__ import annotations


class XCNetError(Exception):
    """Base of all errors of this package.

    Parameters
    ----------
    message : str
        What was wrong, where, and what to do about it.
    **context
        Facts for programs (``functional``, ``file``, ``argument``, ``expected``, ``given`` ...),
        kept in the attribute ``context``.
    """

    def __init__(self, message: str, **context: object) -> None:
        super().__init__(message)
        self.message = message
        self.context = context

    def __str__(self) -> str:
        # KeyError would show the repr of the message.
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.context)


def _rebuild(cls: type[XCNetError], message: str, context: dict[str, object]) -> XCNetError:
    return cls(message, **context)


class UnknownFunctionalError(XCNetError, KeyError):
    """No functional has this name, alias or id."""


class SpinError(XCNetError, KeyError):
    """The spin is neither unpolarized (1) nor polarized (2), or impossible for the electrons."""


class ArgumentTypeError(XCNetError, TypeError):
    """An argument has a type that the call does not take."""


class MissingInputError(XCNetError, KeyError):
    """A density variable that the functional needs was not given."""


class InputError(XCNetError, ValueError):
    """A given value is wrong: size, NaN, range, or a file with junk in it."""


class DerivativeError(XCNetError, ValueError):
    """The functional does not have the derivative that was asked for."""


class FunctionalKindError(XCNetError, ValueError):
    """The request does not fit this kind of functional (exact exchange of a pure one, ...)."""


class ExpressionError(XCNetError, ValueError):
    """A composite expression cannot be read."""


class ModelError(XCNetError, ValueError):
    """A functional folder is incomplete, altered, or not of a known format."""


class RegistryError(XCNetError, ValueError):
    """Two functional folders claim the same name, alias or id."""


class EngineError(XCNetError, RuntimeError):
    """A graph could not be loaded or run."""


class LibxcNotFoundError(XCNetError, ImportError):
    """No usable libxc shared library was found."""


class NativeError(XCNetError, RuntimeError):
    """xcnet's C library is missing, cannot be used, or refuses what it is linked into."""


class ProgramError(XCNetError, RuntimeError):
    """A program cannot be run with xcnet's functionals."""


class MissingPackageError(XCNetError, ImportError):
    """An optional package (a host code, torch, ...) is not installed."""


class InstallError(XCNetError, RuntimeError):
    """Functionals could not be installed or removed (download, disk, conversion)."""


class ExportError(XCNetError, RuntimeError):
    """A torch module could not be turned into a functional folder."""


class UnsupportedError(XCNetError, NotImplementedError):
    """A host asked for something that the functional cannot do."""


class ConvergenceError(XCNetError, RuntimeError):
    """A calculation in a host did not become self-consistent."""


class BenchmarkError(XCNetError, RuntimeError):
    """A benchmark cannot start or go on (disk full, file in use, scheduler out of reach)."""
