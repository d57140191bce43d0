"""Elements up to radon: their symbols, and the spins of their atoms."""

from __future__ import annotations

# fmt: off
SYMBOLS = (
    "X", "H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S",
    "Cl", "Ar", "K", "Ca", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge",
    "As", "Se", "Br", "Kr", "Rb", "Sr", "Y", "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd",
    "In", "Sn", "Sb", "Te", "I", "Xe", "Cs", "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd",
    "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu", "Hf", "Ta", "W", "Re", "Os", "Ir", "Pt", "Au", "Hg",
    "Tl", "Pb", "Bi", "Po", "At", "Rn",
)
#: Unpaired electrons of the neutral atoms' ground states (NIST Atomic Spectra Database); elements
#: that are not listed have none.
UNPAIRED = {
    1: "H Li B F Na Al Cl K Sc Cu Ga Br Rb Y Ag In I Cs La Tm Lu Au Tl At",
    2: "C O Si S Ti Ni Ge Se Zr Sn Te Er Hf Pt Pb Po",
    3: "N P V Co As Rh Sb Pr Ho Ta Ir Bi",
    4: "Fe Ru Nd W Os Dy",
    5: "Mn Nb Tc Re Pm Tb",
    6: "Cr Mo Sm",
    7: "Eu",
    8: "Gd",
}
# fmt: on
#: Unpaired electrons by symbol.
GROUND_STATE_SPIN = {symbol: n for n, text in UNPAIRED.items() for symbol in text.split()}


#: Isotopes with symbols of their own.
ISOTOPES = {"D": "H", "T": "H"}


def symbol_of(text: str) -> str | None:
    """Symbol of an element from a symbol in any case, one with a number (C1), or a number."""
    if text.isdecimal():
        return SYMBOLS[int(text)] if 0 < int(text) < len(SYMBOLS) else None
    word = text.rstrip("0123456789").capitalize()
    word = ISOTOPES.get(word, word)
    return word if word in SYMBOLS[1:] else None
