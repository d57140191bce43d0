"""Powers of one expression in a model, by products of one root where that saves calls of Pow."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm
from typing import Protocol

from xcnet.export.graph import Node


class Emitter(Protocol):
    """What adds nodes to a model."""

    def emit(self, op: str, inputs: Sequence[str]) -> str:
        """Add a node; returns the name of its output."""

    def name(self, node: Node) -> str:
        """Name of a node's value."""

    def scalar(self, value: float) -> str:
        """Name of a stored number."""


class Powers:
    """Powers of one base."""

    def __init__(self, writer: Emitter, base: Node, exponents: Sequence[float]) -> None:
        self._writer = writer
        self._base = base
        exact = {p: Fraction(p).limit_denominator(12) for p in exponents}
        self._exact = {p: f for p, f in exact.items() if abs(float(f) - p) < 1e-14}
        broken = {abs(f) for f in self._exact.values() if f.denominator > 1}
        # A single broken power is cheapest as it is.
        self._single = len(broken) == 1
        self._unit = 1 if self._single else lcm(*(f.denominator for f in broken))
        self._known: dict[int, str] = {}
        self._broken: dict[Fraction, str] = {}

    def name(self, exponent: float) -> str:
        """Name of ``base ** exponent``."""
        exact = self._exact.get(exponent, self._exact.get(-exponent, None))
        if exact is None:
            return self._pow(exponent)
        exact = exact if exponent in self._exact else -exact
        if exact.denominator > 1 and self._single:
            return self._one_broken(exact)
        return self._whole(int(exact * self._unit))

    def _pow(self, exponent: float) -> str:
        if exponent in (0.5, 0.25):  # a square root costs an eighth of a Pow
            root = self._writer.emit("Sqrt", [self._writer.name(self._base)])
            return root if exponent == 0.5 else self._writer.emit("Sqrt", [root])
        return self._writer.emit(
            "Pow", [self._writer.name(self._base), self._writer.scalar(exponent)]
        )

    def _one_broken(self, exact: Fraction) -> str:
        if exact not in self._broken:
            both = -exact in self._broken or -exact in self._exact.values()
            if exact < 0 and (both or exact == Fraction(-1, 2)):
                name = self._writer.emit("Reciprocal", [self._one_broken(-exact)])
            else:
                name = self._pow(float(exact))
            self._broken[exact] = name
        return self._broken[exact]

    def _whole(self, k: int) -> str:
        """Power ``k`` of the root ``base ** (1 / unit)``."""
        known = self._known
        if not known:
            known[self._unit] = self._writer.name(self._base)
            known.setdefault(1, known[1] if 1 in known else self._pow(1.0 / self._unit))
        if k in known:
            return known[k]
        # A whole power of the base never goes through the root: the base may be negative.
        usable = [i for i in sorted(known) if k % self._unit or i % self._unit == 0]
        pair = next(((i, k - i) for i in usable if k - i in usable), None)
        if pair is None and k > 0:
            big = max(i for i in usable if 0 < i < k)
            pair = (big, k - big) if big <= k - big else (k // 2, k - k // 2)
        if pair is None:
            known[k] = self._writer.emit("Reciprocal", [self._whole(-k)])
        else:
            known[k] = self._writer.emit("Mul", [self._whole(pair[0]), self._whole(pair[1])])
        return known[k]
