"""Memory that is held from one evaluation to the next; what was given back reads as zero."""

from __future__ import annotations

import mmap
from collections.abc import Iterator

import numpy as np
import pytest

from xcnet import rooms
from xcnet.rooms import Room

PAGE = mmap.PAGESIZE // 8


@pytest.fixture(autouse=True)
def _nothing_held() -> Iterator[None]:
    rooms.release()
    yield
    rooms.release()


def filled(pages: int) -> Room:
    """A room full of ones that is left."""
    room = Room(pages * PAGE)
    room.cut(pages, PAGE)[...] = 1.0
    room.leave()
    return room


def test_arrays_of_a_room_lie_beside_each_other() -> None:
    room = Room(12)
    first, second = room.cut(2, 3), room.cut(3, 2)
    first[...], second[...] = 1.0, 2.0
    assert first.flags.c_contiguous
    assert (first == 1.0).all()
    assert (second == 2.0).all()
    with pytest.raises(ValueError, match="reshape"):
        room.cut(1, 1)


@pytest.mark.parametrize(("most", "pages"), [(1 << 29, 4), (3 * mmap.PAGESIZE, 3)])
def test_half_is_held_up_to_a_limit(monkeypatch: pytest.MonkeyPatch, most: int, pages: int) -> None:
    monkeypatch.setattr(rooms, "MOST_HELD", most)
    filled(8)
    again = Room(8 * PAGE).cut(8, PAGE)
    assert again[:, 0].tolist() == pages * [1.0] + (8 - pages) * [0.0]


def test_held_memory_goes_to_one_room_and_can_be_given_back() -> None:
    filled(8)
    taken, other = (Room(8 * PAGE).cut(8, PAGE) for _ in range(2))
    assert not np.shares_memory(taken, other)
    assert taken[0, 0] == 1.0
    assert other[0, 0] == 0.0
    filled(8)
    rooms.release()
    assert Room(8 * PAGE).cut(8, PAGE)[0, 0] == 0.0


def test_a_larger_room_is_made_anew() -> None:
    filled(2)
    assert (Room(8 * PAGE).cut(8, PAGE) == 0.0).all()
