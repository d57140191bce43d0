"""Order of a tape's instructions: no result depends on it.

A short tape is for single points, too, and there most of the time is waiting, one network's layer
for the layer before: what waits for a result lets others go first. A long one, of second and third
derivatives, has more rows than the first-level cache holds: what ends the use of rows goes first.
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


#: Steps of a tape from which on its rows count more than its waits.
LONG = 1000


def scheduled(steps: list[Instruction]) -> list[Instruction]:
    """The same steps, each after those that it needs."""
    order = _with_few_rows if len(steps) >= LONG else _with_few_waits
    return order(steps, *_dependences(steps))


def _with_few_rows(
    steps: list[Instruction], needs: list[set[int]], users: list[list[int]]
) -> list[Instruction]:
    """Of those that can begin, the one after which the fewest rows are kept; then what is fresh."""
    kept = [len(step.rows) + len(step.second) for step in steps]
    remaining = [len(using) for using in users]
    missing = [len(needed) for needed in needs]
    last = [-1] * len(steps)  # position of the latest step that each needs
    done = [False] * len(steps)
    order: list[Instruction] = []
    ready: list[tuple[int, int, int]] = []

    def offer(i: int) -> None:
        ended = sum(kept[needed] for needed in needs[i] if remaining[needed] == 1)
        heappush(ready, (kept[i] - ended, -last[i], i))

    for i, count in enumerate(missing):
        if count == 0:
            offer(i)
    while ready:
        _, _, i = heappop(ready)
        if done[i]:
            continue
        done[i] = True
        for needed in needs[i]:
            remaining[needed] -= 1
            if remaining[needed] == 1:  # whoever is left ends its use, and is worth more now
                (other,) = (user for user in users[needed] if not done[user])
                if missing[other] == 0:
                    offer(other)
        for user in users[i]:
            last[user] = len(order)
            missing[user] -= 1
            if missing[user] == 0:
                offer(user)
        order.append(steps[i])
    return order


def _with_few_waits(
    steps: list[Instruction], needs: list[set[int]], users: list[list[int]]
) -> list[Instruction]:
    """Of those that can begin, the one with the longest way to an output comes first."""
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
