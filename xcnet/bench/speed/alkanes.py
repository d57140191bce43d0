"""Chains of carbon atoms of any length, as a series of molecules that only grow."""

from __future__ import annotations


def alkane(carbons: int) -> str:
    """Stretched chain of an alkane, as an inline geometry in angstrom."""
    lines = []
    for i in range(carbons):
        x, z, side = 1.27 * i, 0.84 * (i % 2), 1 if i % 2 else -1
        lines.append(f"C {x} 0 {z}")
        lines += [f"H {x} {y} {z + 0.63 * side}" for y in (0.88, -0.88)]
    last = carbons - 1
    side = 1 if last % 2 else -1
    lines.append("H -0.9 0 0.63")
    lines.append(f"H {1.27 * last + 0.9} 0 {0.84 * (last % 2) - 0.63 * side}")
    return "; ".join(lines)
