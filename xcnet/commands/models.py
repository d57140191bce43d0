"""``xcnet models``: install, remove, seal and locate the neural functionals of this user."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from xcnet import install, paths, registry, seal
from xcnet.catalogue import collections
from xcnet.check import integrity


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions and their arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    action = actions.add_parser("install", help="install a published collection or a folder")
    action.add_argument(
        "source", help=f"a collection ({', '.join(collections())}) or a functional folder"
    )
    action.add_argument(
        "--from",
        dest="folder",
        type=Path,
        metavar="FOLDER",
        help="read the collection's original files there instead of downloading them",
    )
    action.add_argument("--force", action="store_true", help="replace what is installed")
    action.set_defaults(act=_install)

    action = actions.add_parser("remove", help="remove a functional that was installed")
    action.add_argument("name", help="name, alias or id")
    action.set_defaults(act=_remove)

    action = actions.add_parser("seal", help="write the hashes of a folder of your own anew")
    action.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    action.set_defaults(act=_seal)
    action = actions.add_parser("available", help="list the published collections")
    action.set_defaults(act=_available)

    action = actions.add_parser("path", help="show the folders that hold neural functionals")
    action.set_defaults(act=_path)


def run(arguments: argparse.Namespace) -> int:
    """Run the chosen action."""
    code: int = arguments.act(arguments)
    return code


def _install(arguments: argparse.Namespace) -> int:
    specs = install.install(
        arguments.source,
        folder=arguments.folder,
        force=arguments.force,
        report=lambda line: print(line, file=sys.stderr, flush=True),
    )
    for spec in specs:
        print(f"installed {', '.join((*spec.aliases, spec.name))}: {spec.folder}")
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    print(f"removed {install.remove(arguments.name)}")
    return 0


def _seal(arguments: argparse.Namespace) -> int:
    for folder in arguments.folders:
        spec = seal.seal(folder.absolute())
        worst = integrity.self_test(spec)
        print(f"sealed {spec.name}: reference vector reproduced to {worst:.1e}")
    return 0


def _available(arguments: argparse.Namespace) -> int:
    installed = {alias for entry in registry.entries() for alias in entry.aliases}
    for name, collection in collections().items():
        there = installed.issuperset(collection.functionals)
        print(f"{name}{'  (installed)' if there else ''}")
        print(f"  {collection.title}")
        for key, value in (
            ("functionals", ", ".join(collection.functionals)),
            ("depends on", collection.depends_on),
            ("cost", collection.cost),
            ("licence", collection.license),
            ("download", f"{collection.size / 1e6:.2f} MB from {collection.source['repository']}"),
            ("paper", f"https://doi.org/{collection.doi}"),
        ):
            print(f"  {key.ljust(11)}  {value}")
    return 0


def _path(arguments: argparse.Namespace) -> int:
    print(f"shipped    {paths.models_folder()}")
    print(f"installed  {registry.user_folder()}")
    return 0
