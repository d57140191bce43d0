"""Coverage-guided fuzzing of the loader: ``make fuzz MINUTES=30``.

An input is read as a graph, as a record and as a reference vector; whatever it holds, only the
package's own refusals may come of it, and soon (``-timeout``).
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import suppress
from pathlib import Path

#: Inputs that were not refused as they should be, kept for the tests.
FINDINGS = Path(__file__).resolve().parent / "fuzz"
#: A sound folder, whose files are where the fuzzer starts from.
TEMPLATE = Path(__file__).resolve().parent / "models" / "gga_x_pbe_clone"
WANTED = {"rho": 2, "sigma": 3, "zk": 1}


def load(data: bytes) -> None:
    """Read the bytes in each way; raises what the loader must not raise."""
    # Imported here, where the fuzzer watches the branches of what is imported.
    from xcnet.check import integrity
    from xcnet.errors import ModelError
    from xcnet.graphs import model, walk
    from xcnet.spec import record_from

    with suppress(ValueError):
        walk(model.read(data))
    with suppress(ModelError):
        record_from(data, TEMPLATE)
    with suppress(*integrity.UNREADABLE):
        integrity.arrays(data, WANTED)


def main() -> None:
    """Fuzz with libFuzzer's arguments, starting from the files of a sound folder."""
    import atheris

    # The loader of an editable installation hides the code from atheris: import from the sources.
    sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
    watched = ["xcnet.graphs", "xcnet.spec", "xcnet.check", "json", "zipfile"]
    with atheris.instrument_imports(include=watched):
        load((TEMPLATE / "model.json").read_bytes())  # compiles the schema
    seeds = Path(tempfile.mkdtemp(prefix="xcnet-fuzz-"))
    for path in TEMPLATE.iterdir():
        if path.stat().st_size < 20_000:
            (seeds / path.name).write_bytes(path.read_bytes())
    atheris.Setup([sys.argv[0], str(seeds), *sys.argv[1:]], load)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
