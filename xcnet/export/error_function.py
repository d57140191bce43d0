"""erf and the normal distribution's cumulative function, of operators that the runtime has.

With h(t) = exp(-t^2/2) P(t)/Q(t) for t = abs(x), the cumulative function is h for x < 0 and 1 - h
otherwise. P and Q, of degrees 6 and 7, were fitted here to erfc(t/sqrt 2)/2 for t up to 8.5,
beyond which h is below rounding: absolute errors of h are 2e-17 without rounding. erf of small
arguments is a polynomial, so that its relative error is of rounding's size too.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from xcnet.export.algebra import mul, power, unary
from xcnet.export.graph import Node, const
from xcnet.export.powers import Emitter

#: Rising powers; the last one of Q is 1.
P = (2493.829886338829, 2504.8183206317176, 1268.9217248392922, 383.89539895619544,
     72.14242322835975, 7.92570045866455, 0.3989496420162802)  # fmt: skip
Q = (4987.659772677658, 8989.213368420518, 7216.3681237632, 3357.5384004727744,
     982.3562182564262, 181.81874274091777, 19.867547957481865, 1.0)  # fmt: skip
#: Powers beyond this argument are not needed, and might overflow.
FAR = 40.0
#: erf(x)/x by powers of x^2, for abs(x) < 1/2.
SMALL = (1.1283791670955126, -0.37612638903183476, 0.11283791670925353, -0.026866170632887928,
         0.00522397737302147, -0.0008548297753674966, 0.00012053335124353741,
         -1.4845849259707869e-05, 1.4725865480556744e-06)  # fmt: skip
SMALL_END = 0.5


def gaussian(x: Node) -> Node:
    """exp(-x^2/2)."""
    return unary("exp", mul(const(-0.5), power(x, 2.0)))


def parts_of_erf(x: Node) -> list[Node]:
    """Expressions that `emit_erf` composes."""
    return [gaussian(mul(const(sqrt(2.0)), x)), power(x, 2.0)]


def emit_normal_cdf(writer: Emitter, x: Node) -> str:
    """Name of the cumulative function's value: 1/2 + sign(x) (1/2 - h)."""
    return _add(writer, _odd_part(writer, x), 0.5)


def emit_erf(writer: Emitter, x: Node) -> str:
    """Name of erf's value."""
    far = writer.emit("Mul", [_odd_part(writer, mul(const(sqrt(2.0)), x)), writer.scalar(2.0)])
    square = writer.name(power(x, 2.0))
    inner = writer.emit("Clip", [square, "", writer.scalar(SMALL_END**2)])
    near = writer.emit("Mul", [writer.name(x), _horner(writer, SMALL, inner)])
    is_far = writer.emit("Greater", [square, writer.scalar(SMALL_END**2)])
    return writer.emit("Where", [is_far, far, near])


def _odd_part(writer: Emitter, x: Node) -> str:
    """Name of sign(x) (1/2 - h)."""
    t = writer.emit("Clip", [writer.name(unary("abs", x)), "", writer.scalar(FAR)])
    ratio = writer.emit("Div", [_horner(writer, P, t), _horner(writer, Q, t)])
    h = writer.emit("Mul", [writer.name(gaussian(x)), ratio])
    rest = writer.emit("Sub", [writer.scalar(0.5), h])
    return writer.emit("Mul", [writer.name(unary("sign", x)), rest])


def _horner(writer: Emitter, coefficients: Sequence[float], x: str) -> str:
    last, *rest = reversed(coefficients)
    value = x if last == 1.0 else writer.emit("Mul", [x, writer.scalar(last)])
    for c in rest[:-1]:
        value = writer.emit("Mul", [_add(writer, value, c), x])
    return _add(writer, value, rest[-1])


def _add(writer: Emitter, value: str, number: float) -> str:
    return writer.emit("Add", [value, writer.scalar(number)])
