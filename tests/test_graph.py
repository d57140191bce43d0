"""Laws of the expression graph: simplification keeps values, derivatives equal torch's."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations_with_replacement

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xcnet.export import algebra as a
from xcnet.export.differentiate import cut, derivatives
from xcnet.export.graph import ONE, UNARY, ZERO, Node, column_input, concat, const, evaluate
from xcnet.export.layers import column, matmul, sum_rows, take
from xcnet.export.onnx_writer import to_onnx
from xcnet.export.trace import trace
from xcnet.graphs import OPERATORS

N = 7
RNG = np.random.default_rng(3)
POINTS = {"rho": RNG.uniform(0.2, 2.0, (N, 2)), "sigma": RNG.uniform(0.2, 2.0, (N, 3))}
X, Y = column_input("rho", 0), column_input("rho", 1)
Z = [column_input("sigma", i) for i in range(3)]
COLUMNS = [X, Y, *Z]
VALUES = [POINTS["rho"][:, 0], POINTS["rho"][:, 1], *POINTS["sigma"].T]
TORCH: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "exp": torch.exp,
    "log": torch.log,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": lambda x: torch.nn.functional.softplus(x, threshold=1e9),
    "erf": torch.erf,
    "normal_cdf": torch.special.ndtr,
    "elu_plus_one": lambda x: torch.where(x > 0, x + 1.0, torch.exp(x.clamp(max=0.0))),
    "algebraic": lambda x: x / torch.sqrt(1.0 + x * x),
    "abs": torch.abs,
    "sign": torch.sign,
}


def value(node: Node) -> np.ndarray:
    return evaluate([node], POINTS)[0]


def through_onnx(node: Node) -> np.ndarray:
    columns = [column(node, i) for i in range(node.width)]
    data = to_onnx({"zk": columns}, {"rho": 2, "sigma": 3})
    assert {n.op_type for n in onnx.load_from_string(data).graph.node} <= OPERATORS
    session = onnxruntime.InferenceSession(data)
    result: np.ndarray = session.run(None, POINTS)[0].T
    return result


def test_equal_expressions_are_one_object() -> None:
    assert a.mul(X, Y) is a.mul(Y, X)
    assert a.add(a.add(X, ONE), Y) is a.add(a.add(Y, X), ONE)
    assert const(0.0) is const(-0.0)
    assert matmul(np.ones((2, 2)), concat([X, Y])) is matmul(np.ones((2, 2)), concat([X, Y]))


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (a.mul(X, ZERO), ZERO),
        (a.mul(X, ONE), X),
        (a.add(X, ZERO), X),
        (a.sub(X, X), ZERO),
        (a.div(X, X), ONE),
        (a.mul(X, a.div(Y, X)), Y),
        (a.add(X, X), a.mul(const(2.0), X)),
        (a.mul(X, a.mul(X, X)), a.power(X, 3.0)),
        (a.power(a.power(X, 1.0 / 3.0), 4.0), a.power(X, 4.0 / 3.0)),
        (a.sqrt(a.power(X, -1.0)), a.power(X, -0.5)),
        (a.unary("log", a.power(X, 0.5)), a.mul(const(0.5), a.unary("log", X))),
        (column(concat([X, Y]), 1), Y),
        (take(concat([X, Y, *Z]), [3, 0]), concat([Z[1], X])),
        (a.where(a.binary("greater", X, Y), X, X), X),
        (a.mul(a.where(a.binary("greater", X, Y), X, ZERO), Y),
         a.where(a.binary("greater", X, Y), a.mul(X, Y), ZERO)),
        (a.mul(concat([X, Y]), const(2.0)), concat([a.mul(X, const(2.0)), a.mul(Y, const(2.0))])),
        (sum_rows(concat([X, Y])), a.add(X, Y)),
        (a.div(X, a.sqrt(a.add(a.mul(X, X), ONE))), a.unary("algebraic", X)),
    ],
)  # fmt: skip
def test_simplification(node: Node, expected: Node) -> None:
    assert node is expected


def test_even_power_is_not_undone_by_a_root() -> None:
    node = a.sqrt(a.power(a.sub(X, Y), 2.0))
    np.testing.assert_allclose(value(node)[0], np.abs(VALUES[0] - VALUES[1]), rtol=1e-13)


def test_whole_powers_of_negative_numbers_do_not_use_the_root() -> None:
    inner = a.sub(X, Y)
    positive = a.binary("greater", inner, ZERO)
    node = a.where(positive, a.mul(a.power(inner, 0.5), a.power(inner, 1.5)), a.power(inner, 3.0))
    difference = VALUES[0] - VALUES[1]
    expected = np.where(difference > 0.0, difference**2, difference**3)
    np.testing.assert_allclose(through_onnx(node)[0], expected, rtol=1e-13)


Pair = tuple[Node, np.ndarray]


def _binary(pairs: tuple[Pair, Pair, str]) -> Pair:
    (x, u), (y, v), op = pairs
    build: dict[str, tuple[Callable[..., Node], Callable[..., np.ndarray]]] = {
        "add": (a.add, np.add),
        "sub": (a.sub, np.subtract),
        "mul": (a.mul, np.multiply),
        "div": (lambda p, q: a.div(p, a.add(a.mul(q, q), ONE)), lambda p, q: p / (q * q + 1.0)),
        "max": (lambda p, q: a.binary("max", p, q), np.maximum),
        "where": (
            lambda p, q: a.where(a.binary("greater", p, q), a.mul(p, q), p),
            lambda p, q: np.where(p > q, p * q, p),
        ),
    }
    symbolic, numeric = build[op]
    return symbolic(x, y), numeric(u, v)


def _unary(pair: tuple[Pair, str]) -> Pair:
    (x, u), op = pair
    if op.startswith("pow"):
        p = float(op[3:])
        return a.power(a.add(a.mul(x, x), ONE), p), (u * u + 1.0) ** p
    return a.unary(op, x), UNARY[op](u)


LEAVES = st.one_of(
    st.sampled_from([(c, v) for c, v in zip(COLUMNS, VALUES, strict=True)]),
    st.sampled_from([0.0, 1.0, -1.0, 2.0, 0.3]).map(lambda c: (const(c), np.full(N, c))),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, inner, st.sampled_from(["add", "sub", "mul", "div", "max", "where"])).map(
            _binary
        ),
        st.tuples(
            inner,
            st.sampled_from(["tanh", "algebraic", "sigmoid", "abs", "pow0.5", "pow-1", "pow3"]),
        ).map(_unary),
    ),
    max_leaves=12,
)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(TREES)
def test_simplification_keeps_values(tree: Pair) -> None:
    node, expected = tree
    scale = 1e-12 * (1.0 + np.abs(expected).max())
    np.testing.assert_allclose(value(node)[0], expected, rtol=1e-9, atol=scale)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(TREES)
def test_model_computes_the_expression(tree: Pair) -> None:
    node, _ = tree
    expected = value(node)
    scale = 1e-12 * (1.0 + np.abs(expected).max())
    np.testing.assert_allclose(through_onnx(node), expected, rtol=1e-12, atol=scale)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(TREES, st.lists(st.sampled_from(range(1, 40)), min_size=1, max_size=4))
def test_powers_share_a_root(tree: Pair, twelfths: list[int]) -> None:
    base = a.add(a.power(tree[0], 2.0), const(0.5))
    node = a.total(a.power(base, p / 6.0 - 3.0) for p in twelfths)
    np.testing.assert_allclose(through_onnx(node), value(node), rtol=1e-11)


def derivatives_by_torch(
    function: Callable[..., torch.Tensor], order: int
) -> dict[tuple[int, ...], np.ndarray]:
    columns = [torch.tensor(v, requires_grad=True) for v in VALUES]
    by_order: dict[tuple[int, ...], torch.Tensor] = {(): function(*columns)}
    for n in range(order):
        for key in combinations_with_replacement(range(len(columns)), n):
            if not by_order[key].requires_grad:
                slopes = (torch.zeros(N, dtype=torch.float64),) * len(columns)
            else:
                slopes = torch.autograd.grad(
                    by_order[key].sum(), columns, create_graph=True, materialize_grads=True
                )
            for i in range(key[-1] if key else 0, len(columns)):
                by_order[*key, i] = slopes[i]
    return {key: v.numpy(force=True) for key, v in by_order.items() if key}


def compare(node: Node, function: Callable[..., torch.Tensor], order: int = 3) -> None:
    expected = derivatives_by_torch(function, order)
    given = derivatives(node, COLUMNS, order)
    values = evaluate(list(given.values()), POINTS)
    for n in range(1, order + 1):
        scale = max(np.abs(v).max() for k, v in expected.items() if len(k) == n)
        for key, found in zip(given, values, strict=True):
            if len(key) == n:
                np.testing.assert_allclose(
                    found[0], expected[key], rtol=1e-11, atol=1e-12 * scale, err_msg=str(key)
                )


@pytest.mark.parametrize("op", UNARY)
def test_derivatives_of_functions_of_columns(op: str) -> None:
    inner = a.sub(a.mul(X, Y), const(0.0 if op == "log" else 0.7))
    shift = 0.0 if op == "log" else 0.7
    compare(a.mul(a.unary(op, inner), Z[0]), lambda x, y, z, *_: TORCH[op](x * y - shift) * z)


@pytest.mark.parametrize("op", UNARY)
def test_derivatives_of_functions_of_layers(op: str) -> None:
    weight = RNG.uniform(0.1, 0.5, (4, 5)) if op == "log" else RNG.normal(size=(4, 5))
    output = RNG.normal(size=(1, 4))
    node = matmul(output, a.unary(op, matmul(weight, concat(COLUMNS))))
    w, o = torch.tensor(weight), torch.tensor(output)
    compare(a.mul(node, X), lambda *c: (o @ TORCH[op](w @ torch.stack(c)))[0] * c[0])


@pytest.mark.parametrize("exponent", [-2.0, -1.0, -0.5, 1.0 / 3.0, 0.5, 4.0 / 3.0, 2.0, 3.0, 0.37])
def test_derivatives_of_powers(exponent: float) -> None:
    compare(
        a.mul(a.power(a.mul(const(2.0), a.mul(X, Y)), exponent), Y),
        lambda x, y, *_: (2.0 * x * y) ** exponent * y,
    )


@pytest.mark.parametrize("op", ["max", "min"])
def test_derivatives_of_extremes(op: str) -> None:
    torch_op = torch.maximum if op == "max" else torch.minimum
    compare(
        a.mul(a.binary(op, a.mul(X, Y), Z[0]), Z[1]), lambda x, y, z, t, _: torch_op(x * y, z) * t
    )


def test_derivatives_see_through_simplified_columns() -> None:
    # log(2 x^2 y) of a network's input is log 2 + 2 log x + log y to the simplifier, while the
    # network is a function of one column.
    column_ = a.mul(const(2.0), a.mul(a.power(X, 2.0), Y))
    features = concat([a.unary("log", column_), column_, a.power(column_, 0.5)])
    weight = RNG.normal(size=(4, 3)) / 4.0
    node = a.mul(sum_rows(a.unary("tanh", matmul(weight, features))), a.power(column_, 1.0 / 3.0))
    w = torch.tensor(weight)

    def function(x: torch.Tensor, y: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        c = 2.0 * x**2 * y
        hidden = torch.tanh(w @ torch.stack([torch.log(c), c, torch.sqrt(c)])).sum(0)
        return hidden * c ** (1.0 / 3.0)

    compare(node, function)


def test_derivatives_of_a_two_layer_network_with_skip_and_heads() -> None:
    first, second = RNG.normal(size=(6, 5)) / 2, RNG.normal(size=(6, 6)) / 2
    heads = RNG.normal(size=(2, 6))
    inputs = concat([a.unary("log", c) for c in COLUMNS])
    hidden = a.unary("tanh", matmul(first, inputs))
    deeper = a.add(hidden, a.unary("softplus", matmul(second, hidden)))
    out = matmul(heads, deeper)
    node = a.add(a.mul(column(out, 0), X), a.mul(a.unary("exp", column(out, 1)), Y))
    assert len(cut(node)) == 7
    f, s, h = (torch.tensor(w) for w in (first, second, heads))

    def function(*c: torch.Tensor) -> torch.Tensor:
        layer = torch.tanh(f @ torch.log(torch.stack(c)))
        two = h @ (layer + torch.nn.functional.softplus(s @ layer, threshold=1e9))
        return two[0] * c[0] + torch.exp(two[1]) * c[1]

    compare(node, function)


def test_masked_branch_never_spoils_a_derivative() -> None:
    # log and sqrt of negative numbers in the branch that is not taken.
    inner = a.sub(X, Y)
    node = a.where(a.binary("greater", inner, ZERO), a.mul(a.unary("log", inner), a.sqrt(inner)), X)
    with np.errstate(invalid="ignore"):
        values = evaluate(list(derivatives(a.mul(node, Y), COLUMNS, 2).values()), POINTS)
    assert all(np.isfinite(v).all() for v in values)


def test_derivatives_vanish_exactly() -> None:
    second = derivatives(a.add(a.power(X, 4.0 / 3.0), a.power(Y, 4.0 / 3.0)), COLUMNS, 2)
    assert second[0, 1] is ZERO
    assert second[2,] is ZERO


def test_constant_outputs_have_one_row_per_point() -> None:
    data = to_onnx({"zk": [X], "vrho": [ZERO, const(3.0)], "vtau": [X, ONE]}, {"rho": 2})
    session = onnxruntime.InferenceSession(data)
    for n in (1, 5):
        rho = np.arange(2.0 * n).reshape(n, 2)
        zk, vrho, vtau = session.run(None, {"rho": rho})
        np.testing.assert_array_equal(zk[:, 0], rho[:, 0])
        np.testing.assert_array_equal(vrho, [[0.0, 3.0]] * n)
        np.testing.assert_array_equal(vtau, np.stack([rho[:, 0], np.ones(n)], 1))


def _tensors() -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(0)
    return {
        "rho": torch.tensor(rng.uniform(0.2, 2.0, (101, 2))),
        "sigma": torch.tensor(rng.uniform(0.2, 2.0, (101, 3))),
    }


torch.manual_seed(0)
LINEAR = torch.nn.Linear(5, 4).double()
NORM = torch.nn.LayerNorm(4).double()
F = torch.nn.functional


@pytest.mark.parametrize(
    "module",
    [
        lambda rho, sigma: rho.sum(1) * sigma.mean(-1),
        lambda rho, sigma: torch.cat([rho, sigma], 1)[:, [4, 0]].prod(1),
        lambda rho, sigma: torch.stack(rho.unbind(1) + sigma.unbind(1)).amax(0),
        lambda rho, sigma: F.silu(LINEAR(torch.hstack([rho, sigma]))).sum(1, keepdim=True),
        lambda rho, sigma: F.gelu(LINEAR(torch.hstack([rho, sigma])), approximate="tanh")[:, 2],
        lambda rho, sigma: F.gelu(LINEAR(torch.hstack([rho, sigma])))[:, 1] - torch.erf(rho[:, 0]),
        lambda rho, sigma: F.logsigmoid(rho[:, 0]) + torch.logaddexp(rho[:, 1], sigma[:, 1]),
        lambda rho, sigma: torch.special.ndtr(rho[:, 0]) + torch.special.erf(sigma[:, 1]),
        lambda rho, sigma: NORM(LINEAR(torch.hstack([rho, sigma]))).exp().sum(1),
        lambda rho, sigma: torch.softmax(LINEAR(torch.hstack([rho, sigma])), 1)[:, 0],
        lambda rho, sigma: sigma.exp().sum(1).log() + torch.special.expm1(rho[:, 0]),
        lambda rho, sigma: torch.einsum("nk,k->n", sigma, torch.arange(3.0).double()) + rho[:, 1],
        lambda rho, sigma: F.leaky_relu(rho[:, 0] - 1.0) + F.softplus(30.0 * sigma[:, 0]),
        lambda rho, sigma: torch.linalg.norm(sigma, dim=1) + rho.clamp(0.5, 1.0).sum(1),
        lambda rho, sigma: torch.where(rho[:, 0] > 1.0, rho[:, 0].log(), sigma[:, 1].sqrt()),
        lambda rho, sigma: (sigma[:, None, :] * rho[:, :, None]).reshape(-1, 6).pow(1.5).sum(1),
        lambda rho, sigma: F.elu(LINEAR(torch.hstack([rho, sigma])), alpha=0.5).flip(1)[:, 0],
        lambda rho, sigma: F.mish(rho[:, 0]) * F.hardtanh(sigma[:, 0]) + F.selu(sigma[:, 1] - 1.0),
        lambda rho, sigma: 2.0 ** rho[:, 0] / (1.0 - 3.0 * sigma[:, 2]) ** 2,
        lambda rho, sigma: F.relu(LINEAR(torch.hstack([rho, sigma]).unsqueeze(1))).squeeze(1)[:, 3],
        lambda rho, sigma: torch.ones_like(rho[:, 0]) * (sigma @ torch.ones(3, 2).double())[:, 1],
        lambda rho, sigma: torch.where((rho > sigma[:, :2])[:, 1], rho[:, 1], sigma[:, 0]),
        lambda rho, sigma: torch.zeros(rho.shape[0], dtype=torch.float64),
    ],
)  # fmt: skip
def test_trace_keeps_values(module: Callable[..., torch.Tensor]) -> None:
    node = trace(module, _tensors())
    fresh = {name: torch.tensor(v) for name, v in POINTS.items()}
    with torch.no_grad():
        expected = module(**fresh).reshape(1, -1).numpy()
    # Layers may cancel terms of order one, whose rounding depends on the processor.
    np.testing.assert_allclose(value(node), expected, rtol=1e-13, atol=1e-14)
