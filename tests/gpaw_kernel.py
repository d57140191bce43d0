"""Evaluate functionals through GPAW's own kernel; run by GPAW's Python, not by pytest.

``gpaw_kernel.py IN.npz OUT.npz FUNCTIONAL...``: arrays rho, sigma, tau, spin first.
"""

import sys
from typing import Any

import numpy as np
from gpaw.xc.libxc import LibXC

given, result, *functionals = sys.argv[1:]
inputs = np.load(given)
outputs: dict[str, Any] = {}
for functional in functionals:
    rho, sigma, tau = (inputs[name].copy() for name in ("rho", "sigma", "tau"))
    energy, vrho, vsigma, vtau = np.zeros(rho.shape[1]), *map(np.zeros_like, (rho, sigma, tau))
    LibXC(functional).calculate(energy, rho, vrho, sigma, vsigma, tau, vtau)
    for name, array in (("energy", energy), ("vrho", vrho), ("vsigma", vsigma), ("vtau", vtau)):
        outputs[f"{functional} {name}"] = array
np.savez(result, **outputs)
