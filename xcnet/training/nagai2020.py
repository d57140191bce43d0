"""The four published networks of Nagai, Akashi and Sugino (2020) as functional folders.

R. Nagai, R. Akashi, O. Sugino, npj Comput. Mater. 6, 43 (2020), doi:10.1038/s41524-020-0310-0.
The weights are not part of this package: they are fetched from the authors' repository, checked
against their SHA-256, and exported. The functional forms are those of the authors' scripts.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xcnet import download
from xcnet.errors import InstallError
from xcnet.export.exporter import export
from xcnet.training.form.features.nagai2020 import TINY, ingredients

REPOSITORY = "ml-electron-project/NNfunctional"
COMMIT = "3f4a97998747dc14a9296a88d16572601621efab"
BASE_URL = f"https://raw.githubusercontent.com/{REPOSITORY}/{COMMIT}"
MAX_BYTES = 1 << 20
HIDDEN = 100


@dataclass(frozen=True)
class Published:
    """One published network: its file, and what it becomes here."""

    file: str
    sha256: str
    name: str
    alias: str
    id: int
    family: str
    inputs: tuple[str, ...]
    nonlocal_: bool
    title: str


PUBLISHED = (
    Published(
        "NNLSDA",
        "c41f35233da0c2d96d28b7edc6951f30d6dc4658b137b906517130213c26c7ef",
        "lda_xc_nn_lsda_nagai2020",
        "NN-LSDA-Nagai2020",
        100101,
        "lda",
        ("rho",),
        False,
        "local spin density",
    ),
    Published(
        "NNGGA",
        "dd40b6e027adcbd8985463d42e1e5bc073f92218fcf996655f40ac3ef698f158",
        "gga_xc_nn_gga_nagai2020",
        "NN-GGA-Nagai2020",
        100102,
        "gga",
        ("rho", "sigma"),
        False,
        "generalized gradient",
    ),
    Published(
        "NNmGGA",
        "5697d150434c33a67691983545ae7622ad7de07fd65d273edf0df01a66a89401",
        "mgga_xc_nn_metagga_nagai2020",
        "NN-metaGGA-Nagai2020",
        100103,
        "mgga",
        ("rho", "sigma", "tau"),
        False,
        "meta-GGA",
    ),
    Published(
        "NNNRA",
        "4985a33d07c81ed81d63ede41200bcc4f157aae7fdc2b2c6549629af4bb65122",
        "mgga_xc_nn_nra_nagai2020",
        "NN-NRA-Nagai2020",
        100104,
        "mgga",
        ("rho", "sigma", "tau"),
        True,
        "near-region",
    ),
)
NAMES = tuple(p.name for p in PUBLISHED)

NEAR_REGION = {"definition": "grid-sum", "sigma_bohr": 0.2, "cutoff": 0.001}
CITATION = {
    "key": "Nagai2020_43",
    "text": "R. Nagai, R. Akashi, and O. Sugino, npj Comput. Mater. 6, 43 (2020)",
    "doi": "10.1038/s41524-020-0310-0",
    "bibtex": (
        "@article{Nagai2020_43,\n"
        "  title = {Completing density functional theory by machine learning hidden messages "
        "from molecules},\n"
        "  author = {Nagai, Ryo and Akashi, Ryosuke and Sugino, Osamu},\n"
        "  journal = {npj Computational Materials},\n"
        "  volume = {6},\n"
        "  pages = {43},\n"
        "  year = {2020},\n"
        "  doi = {10.1038/s41524-020-0310-0}\n"
        "}"
    ),
}


class Network(nn.Module):
    """Energy per particle of a published network, float64, Hartree.

    ``eps = -out n^(1/3) p`` with ``out = elu(W4 h3 + b4) + 1``, three hidden layers of 100 nodes
    with ELU, fed with logarithms of the features that its inputs allow.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(features, HIDDEN, dtype=torch.float64)
        self.fc2 = nn.Linear(HIDDEN, HIDDEN, dtype=torch.float64)
        self.fc3 = nn.Linear(HIDDEN, HIDDEN, dtype=torch.float64)
        self.fc4 = nn.Linear(HIDDEN, 1, dtype=torch.float64)

    def forward(
        self,
        rho: Tensor,
        sigma: Tensor | None = None,
        tau: Tensor | None = None,
        near_region: Tensor | None = None,
    ) -> Tensor:
        """Return (N, 1); inputs in libxc's layout, spin resolved (N, k)."""
        n = rho[:, 0:1] + rho[:, 1:2]
        norm2 = None if sigma is None else sigma[:, 0:1] + 2 * sigma[:, 1:2] + sigma[:, 2:3]
        whole_tau = None if tau is None else tau[:, 0:1] + tau[:, 1:2]
        features, p = ingredients(rho[:, 0:1], rho[:, 1:2], norm2, whole_tau, near_region)
        h = torch.log(torch.cat(features, dim=1))
        for layer in (self.fc1, self.fc2, self.fc3):
            h = nn.functional.elu(layer(h))
        out = nn.functional.elu(self.fc4(h)) + 1
        return -out * n ** (1 / 3) * p


def convert(
    source: Path | None,
    folder: Path,
    report: Callable[[str], None] = lambda line: None,
    base_url: str = BASE_URL,
) -> list[Path]:
    """Fetch and check all four files, then export each to ``folder / name``.

    Parameters
    ----------
    source
        Folder with the original files, or None to download them.
    folder
        Where the functional folders are made.
    report
        Called with a line of text at each step.
    base_url
        Where the files lie on the network.

    Raises
    ------
    InstallError
        A file cannot be had, or is not the published one.
    """
    weights = [original(published, source, base_url) for published in PUBLISHED]
    made = []
    for published, data in zip(PUBLISHED, weights, strict=True):
        report(f"{published.alias}: exporting")
        made.append(folder / published.name)
        export(load(data), record(published), made[-1], card=card(published))
    return made


def original(published: Published, source: Path | None, base_url: str = BASE_URL) -> bytes:
    """Bytes of the authors' file, from a folder or the network, checked (InstallError)."""
    if source is not None:
        return download.read(source / published.file, published.sha256, MAX_BYTES)
    try:
        return download.fetch(f"{base_url}/{published.file}", published.sha256, MAX_BYTES)
    except InstallError as error:
        files = ", ".join(p.file for p in PUBLISHED)
        raise InstallError(
            f"{error.message.rstrip('.')}. Without a network: get {files} of the repository "
            f"{REPOSITORY} at commit {COMMIT[:12]} some other way and use "
            "`xcnet models install nagai2020 --from FOLDER`.",
            **error.context,
        ) from error


def load(data: bytes) -> Network:
    """Torch module of a published file; only tensors are unpickled, never code."""
    state: Mapping[str, Tensor] = torch.load(
        io.BytesIO(data), map_location="cpu", weights_only=True
    )
    module = Network(state["fc1.weight"].shape[1])
    module.load_state_dict({key: value.double() for key, value in state.items()})
    return module.requires_grad_(False).eval()


def record(published: Published) -> dict[str, Any]:
    """Record of a published functional, without what the exporter adds."""
    return {
        "format_version": 1,
        "name": published.name,
        "aliases": [published.alias],
        "id": published.id,
        "family": published.family,
        "kind": "exchange-correlation",
        "description": (
            f"Nagai, Akashi and Sugino's published {published.title} neural network "
            "(trained on H2O, NH3 and NO)"
        ),
        "inputs": list(published.inputs),
        "descriptors": {"near_region": NEAR_REGION} if published.nonlocal_ else {},
        "thresholds": {"density": 1e-12, "zeta": 2.2e-16, "sigma": 1e-16, "tau": 1e-20},
        "enforce_fhc": False,
        "exact_exchange": {"coefficient": 0.0, "omega": 0.0, "alpha": 0.0, "beta": 0.0},
        "dispersion": None,
        "grid_level": 4,
        "training": {
            "protocol": "by the authors, inside the Kohn-Sham equations",
            "data": ["H2O", "NH3", "NO"],
            "source": {
                "repository": REPOSITORY,
                "commit": COMMIT,
                "file": published.file,
                "sha256": published.sha256,
            },
        },
        "domain": {"elements": ["H", "N", "O"], "density": [TINY, 300.0]},
        "citations": [CITATION],
        "license": "MIT",
    }


def card(published: Published) -> str:
    """Text of the functional's card."""
    return f"""# {published.alias}

The published {published.title} network of R. Nagai, R. Akashi and O. Sugino,
npj Comput. Mater. 6, 43 (2020), doi:10.1038/s41524-020-0310-0, converted from the file
`{published.file}` of {REPOSITORY} at commit {COMMIT} (MIT licence).

- Trained by its authors inside the Kohn-Sham equations on H2O, NH3 and NO.
- Mean absolute error of 147 atomization energies as published, kcal/mol: NN-metaGGA 4.7,
  NN-NRA 3.7 (M06-L 5.2, B3LYP 4.5).
- The ELU network has continuous first derivatives only: second derivatives jump.
- Grids: the energy carries radial noise of some 10^-4 Ha below PySCF's grid level 4.
- Its domain's density range is that of the three molecules' quadrature grids, roughly.
"""
