"""The door counts places exactly, and says why there is none."""

import random

import pytest

from server.admission import Door, Place, Refusal


def open_door(places: int) -> Door:
    door = Door(places)
    door.opened.set()
    return door


def enter(door: Door) -> Place:
    place = door.enter()
    assert isinstance(place, Place)
    return place


def refusal(door: Door) -> Refusal:
    answer = door.enter()
    assert isinstance(answer, Refusal)
    return answer


def test_exactly_as_many_get_in_as_there_are_places() -> None:
    door = open_door(3)
    places = [enter(door) for _ in range(3)]
    assert refusal(door).reason == "full"
    places.pop().leave()
    places.append(enter(door))
    assert refusal(door).reason == "full"
    assert (door.in_use, door.rejected["full"]) == (3, 2)


def test_leaving_twice_is_leaving_once() -> None:
    door = open_door(2)
    first, second = enter(door), enter(door)
    first.leave()
    first.leave()
    assert door.in_use == 1
    with second:
        pass
    second.leave()
    assert door.in_use == 0


def test_a_place_is_left_when_its_block_fails() -> None:
    door = open_door(1)
    with pytest.raises(RuntimeError), enter(door):
        raise RuntimeError
    assert door.in_use == 0


def test_a_door_not_yet_open_lets_nobody_in() -> None:
    door = Door(3)
    assert refusal(door).reason == "warming_up"
    door.opened.set()
    enter(door).leave()


def test_a_draining_door_lets_nobody_in_though_places_are_free() -> None:
    door = open_door(3)
    place = enter(door)
    door.draining = True
    assert refusal(door).reason == "draining"
    assert not door.empty.is_set()
    place.leave()
    assert door.empty.is_set()


def test_each_refusal_says_when_to_come_back() -> None:
    full = open_door(1)
    enter(full)
    assert refusal(full).message == "all 1 places are taken; try again in 1 s"
    draining = open_door(1)
    draining.draining = True
    for door in (full, Door(1), draining):
        assert refusal(door).retry_after_s >= 1


def test_at_random_the_count_is_the_number_of_those_inside() -> None:
    rng, door, inside = random.Random(1), open_door(5), list[Place]()
    for _ in range(1_000):
        if rng.random() < 0.5 and inside:
            inside.pop(rng.randrange(len(inside))).leave()
        else:
            answer = door.enter()
            assert isinstance(answer, Place) == (len(inside) < 5)
            if isinstance(answer, Place):
                inside.append(answer)
        assert door.in_use == len(inside)
        assert door.empty.is_set() == (not inside)
