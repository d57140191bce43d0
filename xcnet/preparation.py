"""What libxcnet runs when a functional is asked for whose graphs were never verified."""

from __future__ import annotations

import sys

from xcnet import native
from xcnet.errors import XCNetError
from xcnet.spec import load_spec


def main() -> None:
    """Verify the folder named by the arguments; prints what is against it, for the library.

    The arguments are those of ``adapters/libxc/prepare.c``: xcnet's place, the functional's
    folder, and the file that the library will look for.
    """
    folder, expected = sys.argv[2:]
    try:
        spec = load_spec(folder)
        if str(native.prepare(spec)) != expected:
            print(f"{spec.name}: {folder} was changed after the program had been started", end="")
    except XCNetError as error:
        print(error, end="")
