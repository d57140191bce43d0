"""W4-17 without the members of G2/97: 75 atomization energies of the W4 method.

A. Karton, N. Sylvetsky, J. M. L. Martin, J. Comput. Chem. 38, 2063 (2017). Zero-point exclusive,
nonrelativistic, nuclei clamped; the geometries are those of the paper. The data are not shipped:
``xcnet train data w4-17`` gets them from their public source.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from xcnet.systems import public_data, refdata
from xcnet.systems.molecules import atom
from xcnet.systems.training_sets import Molecule, Reaction, system
from xcnet.systems.units import KCAL_PER_HARTREE

NAME = "w4-17"
DOI = "10.1002/jcc.24854"
UNITS = {"energies": "kcal/mol", "positions": "angstrom"}
SPLITS = {"train": 4, "validation": 1}
SHA256 = "1931f996f221953cba4ed51c9571e5ac8d1d69299400ec8aa2b9cd9641ce2e6b"
SOURCE = refdata.Source(
    commit="f96148aa1739077c55b394b4c9d7e4f42f65dce0",
    din="10_din/w4-17_dft.din",
    systems="20_w4-17/w417_",
)

#: The members with their fingerprints (`xcnet.systems.overlap.fingerprint`), which tell without
#: the data that none of them is a test molecule.
MOLECULES = {
    "alf": "AlF 3268f36a",
    "alh": "AlH bc657ec5",
    "allyl": "C3H5 1802f9ca",
    "b2": "B2 64701268",
    "b2h6": "B2H6 7c7dc2e7",
    "beta-lactim": "C3H5NO a924dc6b",
    "bf": "BF 25677c5d",
    "bhf2": "BF2H 363f6204",
    "bn": "BN 9a013b2c",
    "bn3pi": "BN 9a013b2c",
    "c-hooo": "HO3 84d4b55d",
    "c-n2h2": "H2N2 e1bbffe4",
    "c2cl2": "C2Cl2 752424aa",
    "c2cl6": "C2Cl6 e630dc9e",
    "c2clh": "C2ClH 67376153",
    "c2f6": "C2F6 ffba6ec9",
    "c2h5f": "C2FH5 29e5cee9",
    "ccl2o": "CCl2O 4c460d62",
    "cf": "CF 1923c271",
    "cf2": "CF2 54f43d84",
    "cf2cl2": "CCl2F2 8e2b5468",
    "ch2c": "C2H2 40b2e8f5",
    "ch2clf": "CClFH2 4bdab923",
    "ch3f": "CFH3 42dd53be",
    "ch3nh": "CH4N 3d5822da",
    "ch3ph2": "CH5P 92e5384d",
    "cis-c2f2cl2": "C2Cl2F2 e6a9c0b6",
    "cl2o": "Cl2O fb4da22d",
    "clcn": "CClN 6883a836",
    "cloocl": "Cl2O2 ba3bd26a",
    "cyclobutadiene": "C4H4 e2717133",
    "cyclopropyl": "C3H5 f6fdf2d0",
    "dioxetan2one": "C2H2O3 22e68fc6",
    "dioxetane": "C2H4O2 0ba1eaec",
    "dioxirane": "CH2O2 ad0d1149",
    "dithiotane": "C2H4S2 cc6b6b00",
    "fccf": "C2F2 dc9d5427",
    "fno": "FNO d8012e86",
    "fo2": "FO2 ea9db8ca",
    "formamide": "CH3NO 5acd907a",
    "formic-anhydride": "C2H2O3 eec0b8cc",
    "h2ccn": "C2H2N 04b40268",
    "h2cn": "CH2N 37d8309e",
    "hccf": "C2FH ade33e7d",
    "hclo4": "ClHO4 d8102944",
    "hcnh": "CH2N ae797513",
    "hcno": "CHNO bf103613",
    "hcof": "CFHO 95bb6754",
    "hnnn": "HN3 16becf82",
    "hno": "HNO 02a2eb02",
    "hoclo": "ClHO2 3c418527",
    "hoclo2": "ClHO3 02cebe5e",
    "hocn": "CHNO a9290256",
    "honc": "CHNO 3dd9e268",
    "hoo": "HO2 68e03e6d",
    "n2o4": "N2O4 b649b0eb",
    "nh2cl": "ClH2N de10f1d9",
    "nh2f": "FH2N dd16a2a9",
    "nh2oh": "H3NO 0fe033d4",
    "oclo": "ClO2 f2de9f09",
    "oxadiazole": "C2H2N2O 76b9db14",
    "oxirene": "C2H2O 0618bb8f",
    "p4": "P4 67475d52",
    "pf5": "F5P 2d9d934b",
    "s2o": "OS2 18021617",
    "s3": "S3 6cc6d396",
    "s4-c2v": "S4 0e1f4ceb",
    "sf6": "F6S df23993f",
    "sih3f": "FH3Si 0f64ab14",
    "silole": "C4H6Si 10434267",
    "ssh": "HS2 f5f6ee74",
    "t-hcoh": "CH2O f3ef9ee6",
    "t-hono": "HNO2 b8712945",
    "t-hooo": "HO3 84d4b55d",
    "trans-c2f2cl2": "C2Cl2F2 e6a9c0b6",
}


def data() -> Any:
    """Records from the user's cache."""
    return public_data.read(NAME)


def contents(data: list[dict[str, Any]]) -> tuple[list[Molecule], list[Reaction]]:
    """Molecules with their atoms, and atomization energies."""
    molecules, reactions = [system(record) for record in data], []
    for molecule, record in zip(molecules, data, strict=True):
        counts = Counter(molecule.symbols)
        terms = tuple((n, atom(symbol)) for symbol, n in counts.items())
        energy = record["tae_kcal_per_mol"] / KCAL_PER_HARTREE
        reactions.append(Reaction(molecule.name, ((-1, molecule), *terms), energy))
    atoms = sorted({symbol for molecule in molecules for symbol in molecule.symbols})
    return [*map(atom, atoms), *molecules], reactions
