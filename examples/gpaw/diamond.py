"""Diamond with a neural meta-GGA: xcnet exec -- gpaw python diamond.py MGGA_XC_NN_METAGGA."""

import sys

from ase.build import bulk
from gpaw import GPAW, PW

functional = sys.argv[1] if len(sys.argv) > 1 else "MGGA_XC_NN_METAGGA"
atoms = bulk("C")
atoms.calc = GPAW(mode=PW(300), kpts=(2, 2, 2), xc=functional, txt=None)
print(f"{functional} {atoms.get_potential_energy():.8f} eV")
