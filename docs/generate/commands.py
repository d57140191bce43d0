"""The command line reference, from the parsers themselves."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from docs.generate.markdown import escape
from xcnet import cli

#: Columns of a usage line.
WIDTH = 78


class _Formatter(argparse.HelpFormatter):
    """Shows usage in a fixed width, whatever terminal builds the pages."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=WIDTH)

    def invocation(self, action: argparse.Action) -> str:
        """How an argument is given: ``--html FILE``."""
        return self._format_action_invocation(action)

    def explanation(self, action: argparse.Action) -> str:
        """Its help, with the default filled in."""
        return self._expand_help(action) if action.help else ""


def reference() -> str:
    """All subcommands, with a heading each."""
    return "\n".join(text for name in cli.COMMANDS for text in _command(name))


def parser(name: str) -> argparse.ArgumentParser:
    """Parser of one subcommand."""
    subparsers = _subparsers(cli._parser(name))
    assert subparsers is not None
    subparser: argparse.ArgumentParser = subparsers.choices[name]
    return subparser


def _command(name: str) -> Iterator[str]:
    yield f"## xcnet {name}\n"
    yield from _described(parser(name), 3)


def _described(own: argparse.ArgumentParser, level: int) -> Iterator[str]:
    own.formatter_class = _Formatter
    if own.description:
        yield f"{escape(own.description)}\n"
    usage = own.format_usage().replace("\n" + " " * len("usage: "), "\n").removeprefix("usage: ")
    yield f"```text\n{usage.rstrip()}\n```\n"
    formatter = _Formatter(own.prog)
    subparsers = _subparsers(own)
    for action in own._actions:
        if action.help == argparse.SUPPRESS or action is subparsers or action.dest == "help":
            continue
        yield f"`{formatter.invocation(action)}`\n: {escape(formatter.explanation(action))}\n"
    if own.epilog:
        yield f"{escape(own.epilog)}\n"
    if subparsers is None:
        return
    described = {
        id(c): d.help
        for c, d in zip(subparsers.choices.values(), subparsers._choices_actions, strict=True)
    }
    for choice in subparsers.choices.values():
        yield f"{'#' * level} {choice.prog}\n"
        if not choice.description and (text := described[id(choice)]):
            yield f"{escape(text[0].upper() + text[1:])}.\n"
        yield from _described(choice, level + 1)


def _subparsers(
    own: argparse.ArgumentParser,
) -> argparse._SubParsersAction[argparse.ArgumentParser] | None:
    groups = (a for a in own._actions if isinstance(a, argparse._SubParsersAction))
    return next(groups, None)
