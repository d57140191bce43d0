"""How to cite this package itself."""

from __future__ import annotations

from importlib import metadata

import xcnet

#: Key of this package's entry among a functional's references.
KEY = "xcnet"
TITLE = "xcnet: neural exchange-correlation functionals behind libxc's interface"
AUTHOR = "xcnet developers"
YEAR = 2026


def text() -> str:
    """How to cite the version that is installed, in one line."""
    parts = [AUTHOR, TITLE, f"version {xcnet.__version__} ({YEAR})", _address()]
    return ", ".join(filter(None, parts))


def bibtex() -> str:
    """BibTeX entry of the version that is installed, with the address that its metadata name."""
    fields = {
        "title": TITLE,
        "author": f"{{{AUTHOR}}}",
        "version": xcnet.__version__,
        "year": str(YEAR),
    }
    address = _address()
    if address:
        fields["url"] = address
    lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return f"@software{{{KEY},\n{lines}\n}}"


def _address() -> str:
    try:
        addresses = metadata.metadata("xcnet").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        return ""
    return next((text.split(",")[-1].strip() for text in addresses), "")
