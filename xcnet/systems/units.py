"""Units that the sets' energies come in, by their value in atomic units (CODATA 2018)."""

from __future__ import annotations

EV_PER_HARTREE = 27.211386245988
KCAL_PER_HARTREE = 627.5094740631
DEBYE_PER_AU = 2.541746473
PER_HARTREE = {"kcal/mol": KCAL_PER_HARTREE, "eV": EV_PER_HARTREE}
