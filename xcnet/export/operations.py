"""What torch's operations mean for expressions: tables by the operation's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import log, pi, sqrt
from typing import cast

import torch
from torch import Tensor

from xcnet.errors import ExportError
from xcnet.export import algebra as g
from xcnet.export.graph import ONE, ZERO, Node, const

#: How to write what no float64 kernel of the runtime computes.
ADVICE = {
    "sin": "use exp, log, tanh, sqrt and powers",
    "cos": "use exp, log, tanh, sqrt and powers",
    "_local_scalar_dense": "branch with torch.where: Python cannot look at values",
    "is_nonzero": "branch with torch.where: Python cannot look at values",
    "all": "branch with torch.where: Python cannot look at values",
    "any": "branch with torch.where: Python cannot look at values",
    "sort": "use maximum and minimum",
}

#: From here on softplus(x) is x to rounding.
NO_DIFFERENCE = 37.0


def _n(x: object) -> Node:
    """Node of an operand that may be a Python number."""
    return x if isinstance(x, Node) else const(float(cast(float, x)))


def _power(a: object, b: object) -> Node:
    x, p = _n(a), _n(b)
    if p.constant and p.width == 1:
        return g.power(x, float(p.value[0, 0]))
    if x.constant:
        return g.unary("exp", g.mul(g.unary("log", x), p))
    return g.unary("exp", g.mul(p, g.unary("log", x)))


def _clamp(x: Node, low: object = None, high: object = None, **kw: object) -> Node:
    low, high = kw.get("min", low), kw.get("max", high)
    x = x if low is None else g.binary("max", x, _n(low))
    return x if high is None else g.binary("min", x, _n(high))


def _elu(x: Node, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Node:
    if (alpha, input_scale) == (1.0, 1.0):
        return g.mul(_n(scale), g.sub(g.unary("elu_plus_one", x), ONE))
    inner = g.unary("exp", g.binary("min", g.mul(_n(input_scale), x), ZERO))
    curve = g.mul(_n(alpha), g.sub(inner, ONE))
    return g.mul(_n(scale), g.add(g.binary("max", x, ZERO), curve))


def _softplus(x: Node, beta: float = 1.0, threshold: float = 20.0) -> Node:
    scaled = g.mul(_n(beta), x)
    if threshold >= NO_DIFFERENCE:
        return g.mul(_n(1.0 / beta), g.unary("softplus", scaled))
    soft = g.mul(_n(1.0 / beta), g.unary("softplus", scaled))
    return g.where(g.binary("greater", scaled, _n(threshold)), x, soft)


def _gelu(x: Node, approximate: str = "none") -> Node:
    if approximate != "tanh":
        return g.mul(x, g.unary("normal_cdf", x))
    inner = g.mul(_n(sqrt(2.0 / pi)), g.add(x, g.mul(_n(0.044715), g.power(x, 3.0))))
    return g.mul(g.mul(_n(0.5), x), g.add(ONE, g.unary("tanh", inner)))


def _where(condition: Node, a: object, b: object) -> Node:
    return g.where(condition, _n(a), _n(b))


def _div(a: object, b: object, rounding_mode: str | None = None) -> Node:
    if rounding_mode is not None:
        raise ExportError("rounding is not supported")
    return g.div(_n(a), _n(b))


def _function(op: str) -> Callable[..., Node]:
    return lambda x: g.unary(op, x)


def _compare(op: str, swap: bool) -> Callable[..., Node]:
    return lambda a, b: g.binary(op, *((_n(b), _n(a)) if swap else (_n(a), _n(b))))


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


ELEMENTWISE: Mapping[str, Callable[..., Node]] = {
    **{name: _function(name) for name in ("exp", "log", "tanh", "sigmoid", "erf", "abs", "sign")},
    "add": lambda a, b, alpha=1: g.add(_n(a), g.mul(_n(alpha), _n(b))),
    "sub": lambda a, b, alpha=1: g.sub(_n(a), g.mul(_n(alpha), _n(b))),
    "rsub": lambda a, b, alpha=1: g.sub(_n(b), g.mul(_n(alpha), _n(a))),
    "mul": lambda a, b: g.mul(_n(a), _n(b)),
    "div": _div,
    "neg": g.neg,
    "reciprocal": lambda x: g.power(x, -1.0),
    "square": lambda x: g.power(x, 2.0),
    "sqrt": g.sqrt,
    "rsqrt": lambda x: g.power(x, -0.5),
    "pow": _power,
    "expm1": lambda x: g.sub(g.unary("exp", x), ONE),
    "log1p": lambda x: g.unary("log", g.add(x, ONE)),
    "log2": lambda x: g.mul(_n(1.0 / log(2.0)), g.unary("log", x)),
    "log10": lambda x: g.mul(_n(1.0 / log(10.0)), g.unary("log", x)),
    "sgn": _function("sign"),
    "elu": _elu,
    "special_erf": _function("erf"),
    "special_ndtr": _function("normal_cdf"),
    "softplus": _softplus,
    "logaddexp": lambda a, b: g.add(_n(b), g.unary("softplus", g.sub(_n(a), _n(b)))),
    "relu": lambda x: g.binary("max", x, ZERO),
    "leaky_relu": lambda x, slope=0.01: g.where(
        g.binary("greater", x, ZERO), x, g.mul(_n(slope), x)
    ),
    "silu": lambda x: g.mul(x, g.unary("sigmoid", x)),
    "mish": lambda x: g.mul(x, g.unary("tanh", g.unary("softplus", x))),
    "gelu": _gelu,
    "maximum": lambda a, b: g.binary("max", _n(a), _n(b)),
    "minimum": lambda a, b: g.binary("min", _n(a), _n(b)),
    "clamp": _clamp,
    "clamp_min": _clamp,
    "clamp_max": lambda x, high: _clamp(x, None, high),
    "where": _where,
    "gt": _compare("greater", False),
    "lt": _compare("greater", True),
    "ge": _compare("greater_equal", False),
    "le": _compare("greater_equal", True),
}
STRUCTURAL = _words(
    "select slice view _unsafe_view reshape permute t transpose unsqueeze squeeze expand unbind",
    "split split_with_sizes cat stack flip roll index_select index repeat clone detach alias",
    "_to_copy contiguous diagonal lift_fresh movedim",
)
LINEAR = _words("sum mean mm mv bmm dot matmul linear cumsum")
#: Reductions of nonlinear operations.
CHAINS: Mapping[str, Callable[[Node, Node], Node]] = {
    "amax": lambda a, b: g.binary("max", a, b),
    "amin": lambda a, b: g.binary("min", a, b),
    "prod": g.mul,
}
KNOWN = STRUCTURAL | LINEAR | {"addmm", "addmv", *CHAINS, *ELEMENTWISE}
#: Their results do not depend on the values.
CONSTANT = _words("zeros_like ones_like full_like empty_like new_zeros new_ones new_full new_empty")


def _layer_norm(
    x: Tensor, shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    dims = tuple(range(-len(shape), 0))
    mean = x.mean(dims, keepdim=True)
    scale = ((x - mean) * (x - mean)).mean(dims, keepdim=True).add(eps).rsqrt()
    result = (x - mean) * scale
    result = result if weight is None else result * weight
    return result if bias is None else result + bias, mean, scale


def _log_sigmoid(x: Tensor) -> tuple[Tensor, Tensor]:
    result = -torch.nn.functional.softplus(-x, threshold=NO_DIFFERENCE)
    return result, result


#: Operations written with known ones, where torch's own way uses others.
REWRITTEN: Mapping[str, Callable[..., object]] = {
    "native_layer_norm": _layer_norm,
    "log_sigmoid_forward": _log_sigmoid,
}
