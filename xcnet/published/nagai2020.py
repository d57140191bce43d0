"""The four published networks of Nagai, Akashi and Sugino (2020) as functional folders.

R. Nagai, R. Akashi, O. Sugino, npj Comput. Mater. 6, 43 (2020), doi:10.1038/s41524-020-0310-0.
The weights are not part of this package: they are fetched from the authors' repository, checked
against their SHA-256, and exported. The functional forms are those of the authors' scripts.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from xcnet.catalogue import Collection
from xcnet.published import functional
from xcnet.published.functional import Published
from xcnet.training.form.features.nagai2020 import CITATION, TINY, ingredients

HIDDEN = 100


@dataclass(frozen=True)
class NetworkFacts:
    """One published network: its file, and what it becomes here."""

    file: str
    shipped_name: str
    shipped_alias: str
    id: int
    inputs: tuple[str, ...]
    nonlocal_: bool
    title: str

    @property
    def name(self) -> str:
        """Name in libxc's style: that of the shipped functional of the same inputs, and whose."""
        return f"{self.shipped_name}_nagai2020"

    @property
    def alias(self) -> str:
        """Usual name."""
        return f"{self.shipped_alias}-Nagai2020"

    @property
    def family(self) -> str:
        """Family of its name."""
        return self.name.partition("_")[0]


LDA, GGA, MGGA = ("rho",), ("rho", "sigma"), ("rho", "sigma", "tau")
PUBLISHED = (
    NetworkFacts("NNLSDA", "lda_xc_nn_lsda", "NN-LSDA", 100101, LDA, False, "local spin density"),
    NetworkFacts("NNGGA", "gga_xc_nn_gga", "NN-GGA", 100102, GGA, False, "generalized gradient"),
    NetworkFacts("NNmGGA", "mgga_xc_nn_metagga", "NN-metaGGA", 100103, MGGA, False, "meta-GGA"),
    NetworkFacts("NNNRA", "mgga_xc_nn_nra", "NN-NRA", 100104, MGGA, True, "near-region"),
)

NEAR_REGION = {"definition": "grid-sum", "sigma_bohr": 0.2, "cutoff": 0.001}


class PublishedNetwork(nn.Module):
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


def functionals(collection: Collection, files: Mapping[str, bytes]) -> list[Published]:
    """The four networks with their records, for `xcnet.published.conversion`."""
    return [
        Published(load(files[facts.file]), record(collection, facts), card(collection, facts))
        for facts in PUBLISHED
    ]


def load(data: bytes) -> PublishedNetwork:
    """Torch module of a published file; only tensors are unpickled, never code."""
    state: Mapping[str, Tensor] = torch.load(
        io.BytesIO(data), map_location="cpu", weights_only=True
    )
    module = PublishedNetwork(state["fc1.weight"].shape[1])
    module.load_state_dict({key: value.double() for key, value in state.items()})
    return module.requires_grad_(False).eval()


def record(collection: Collection, facts: NetworkFacts) -> dict[str, Any]:
    """Record of a published functional, without what the exporter adds."""
    return functional.record(
        collection,
        name=facts.name,
        aliases=[facts.alias],
        id=facts.id,
        family=facts.family,
        description=(
            f"Nagai, Akashi and Sugino's published {facts.title} neural network "
            "(trained on H2O, NH3 and NO)"
        ),
        inputs=list(facts.inputs),
        descriptors={"near_region": NEAR_REGION} if facts.nonlocal_ else {},
        grid_level=4,
        training={
            "protocol": "by the authors, inside the Kohn-Sham equations",
            "data": ["H2O", "NH3", "NO"],
        },
        domain={"elements": ["H", "N", "O"], "density": [TINY, 300.0]},
        citations=[CITATION],
    )


def card(collection: Collection, facts: NetworkFacts) -> str:
    """Text of the functional's card."""
    return f"""# {facts.alias}

The published {facts.title} network of R. Nagai, R. Akashi and O. Sugino,
npj Comput. Mater. 6, 43 (2020), doi:10.1038/s41524-020-0310-0, from the file `{facts.file}`.
{functional.origin(collection)}

- Trained by its authors inside the Kohn-Sham equations on H2O, NH3 and NO.
- Mean absolute error of 147 atomization energies as published, kcal/mol: NN-metaGGA 4.7,
  NN-NRA 3.7 (M06-L 5.2, B3LYP 4.5).
- The ELU network has continuous first derivatives only: second derivatives jump.
- Grids: the energy carries radial noise of some 10^-4 Ha below PySCF's grid level 4.
- Its domain's density range is that of the three molecules' quadrature grids, roughly.
"""
