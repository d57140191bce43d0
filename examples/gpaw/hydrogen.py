"""H2 with a neural GGA: xcnet exec -- python3 hydrogen.py GGA_XC_NN_GGA_NAGAI2020."""

import sys

from ase.build import molecule
from gpaw import GPAW
from gpaw.xc import XC

functional = XC(sys.argv[1] if len(sys.argv) > 1 else "GGA_XC_NN_GGA_NAGAI2020")
functional.get_setup_name = lambda: "PBE"  # GPAW has no atoms of its own for these functionals
atoms = molecule("H2")
atoms.center(vacuum=2.5)
atoms.calc = GPAW(mode="fd", h=0.25, xc=functional, txt=None)
print(f"{functional.name} {atoms.get_potential_energy():.8f} eV")
