"""Order of a tape's instructions: what waits for a result lets others go first.

For a single point most of the time is waiting, one network's layer for the layer before; networks
that do not depend on each other are therefore evaluated in turns. No result depends on the order.
"""

from __future__ import annotations

from heapq import heappop, heappush

from xcnet.tape.selection import Instruction

#: Cycles until a result can be used, and until the next instruction can begin, about; of a
#: processor with AVX2. Others: `_PLAIN`.
_PLAIN = (10, 4)
_CYCLES = {
    "algebraic": (60, 25),
    "div": (20, 6),
    "exp": (80, 30),
    "log": (120, 50),
    "pow": (200, 80),
    "sigmoid": (110, 40),
    "sqrt": (28, 8),
    "tanh": (120, 45),
}


def scheduled(steps: list[Instruction]) -> list[Instruction]:
    """The same steps, each after those that it needs.

    Of those that can begin, the one with the longest way to an output comes first.
    """
    needs, users = _dependences(steps)
    height = [0] * len(steps)
    for i in reversed(range(len(steps))):
        height[i] = _cycles(steps[i])[0] + max((height[user] for user in users[i]), default=0)
    missing = [len(needed) for needed in needs]
    begins = [0] * len(steps)
    waiting = [(0, i) for i, count in enumerate(missing) if count == 0]
    ready: list[tuple[int, int]] = []
    order, now = [], 0
    while waiting or ready:
        while waiting and (waiting[0][0] <= now or not ready):
            begin, i = heappop(waiting)
            now = max(now, begin) if not ready else now
            heappush(ready, (-height[i], i))
        _, i = heappop(ready)
        order.append(steps[i])
        latency, occupied = _cycles(steps[i])
        for user in users[i]:
            begins[user] = max(begins[user], now + latency)
            missing[user] -= 1
            if missing[user] == 0:
                heappush(waiting, (begins[user], user))
        now += occupied
    return order


def _dependences(steps: list[Instruction]) -> tuple[list[set[int]], list[list[int]]]:
    """Of each step the steps that it needs, and those that need it."""
    makers = {row: i for i, step in enumerate(steps) for row in (*step.rows, *step.second)}
    needs = [
        {makers[row] for operand in step.operands for row in operand if row in makers}
        for step in steps
    ]
    users: list[list[int]] = [[] for _ in steps]
    for i, needed in enumerate(needs):
        for maker in needed:
            users[maker].append(i)
    return needs, users


def _cycles(step: Instruction) -> tuple[int, int]:
    if step.operator == "product":
        terms = len(step.operands[0])
        return 15 + 4 * terms, 5 + terms * (1 + len(step.rows) // 8)
    return _CYCLES.get(step.operator, _PLAIN)
