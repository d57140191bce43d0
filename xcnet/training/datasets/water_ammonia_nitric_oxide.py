"""H2O, NH3 and NO: the molecules that the published neural functionals were trained on.

Choice of molecules: R. Nagai et al., npj Comput. Mater. 6, 43 (2020),
doi:10.1038/s41524-020-0310-0. Geometries: near experiment (r_e and angles of the NIST CCCBDB).
"""

from __future__ import annotations

from xcnet.training.datasets import System

SYSTEMS = (
    System("H2O", "O 0 0 0.117176; H 0 0.757200 -0.468704; H 0 -0.757200 -0.468704", 0),
    System(
        "NH3",
        "N 0 0 0.1173; H 0 0.9377 -0.2737; H 0.81207 -0.46885 -0.2737; H -0.81207 -0.46885 -0.2737",
        0,
    ),
    System("NO", "N 0 0 0; O 0 0 1.1508", 1),
)
