"""Playout: what is heard, when it is reported, and what a clear throws away, against a plain model."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telephony.errors import IllegalMove, PlayoutFull
from telephony.format import TELEPHONE
from telephony.playout import (
    MAX_POINTS,
    Cleared,
    MarkPlayed,
    Playout,
    PlayoutEvent,
    PlayoutState,
    Tick,
    Underrun,
    UtteranceEnded,
    UtteranceStarted,
)

SILENCE = TELEPHONE.silence


def frames(count: int, first: int = 1) -> list[bytes]:
    """Payloads that can be told apart."""
    return [n.to_bytes(2, "big") * 80 for n in range(first, first + count)]


def heard(ticks: list[Tick]) -> list[bytes]:
    return [tick.payload for tick in ticks if tick.speech]


def events(ticks: list[Tick]) -> list[tuple[PlayoutEvent, ...]]:
    return [tick.events for tick in ticks]


@pytest.fixture
def playout() -> Playout:
    return Playout(TELEPHONE)


def run(playout: Playout, ticks: int, first_ns: int = 0) -> list[Tick]:
    return [playout.tick(first_ns + n) for n in range(ticks)]


def test_an_idle_line_carries_silence_and_no_underrun(playout: Playout) -> None:
    assert run(playout, 3) == 3 * [Tick(SILENCE, False, False, ())]
    assert (playout.state, playout.underruns) == (PlayoutState.IDLE, 0)


def test_one_utterance_from_start_to_end(playout: Playout) -> None:
    playout.push(frames(3), "u1")
    playout.finish("u1")
    one, two, three = frames(3)
    assert run(playout, 4) == [
        Tick(one, True, True, (UtteranceStarted("u1", 0),)),
        Tick(two, True, False, ()),
        Tick(three, True, False, (UtteranceEnded("u1", 2, 3),)),
        Tick(SILENCE, False, False, ()),
    ]
    assert (playout.state, playout.underruns) == (PlayoutState.IDLE, 0)


@given(st.lists(st.integers(0, 5), max_size=12))
def test_any_cutting_of_the_pushes_is_heard_alike(sizes: list[int]) -> None:
    whole, cut = Playout(TELEPHONE), Playout(TELEPHONE)
    payloads = frames(sum(sizes))
    whole.push(payloads)
    for size in sizes:
        cut.push(payloads[:size])
        payloads = payloads[size:]
    whole.finish()
    cut.finish()
    assert run(whole, 70) == run(cut, 70)


def test_a_mark_comes_with_the_last_frame_before_it(playout: Playout) -> None:
    playout.push(frames(2), "u")
    playout.mark("middle")
    playout.push(frames(1), "u")
    playout.finish("u")
    playout.mark("end")
    assert events(run(playout, 4)) == [
        (UtteranceStarted("u", 0),),
        (MarkPlayed("middle", 1),),
        (UtteranceEnded("u", 2, 3), MarkPlayed("end", 2)),
        (),
    ]


def test_a_mark_with_nothing_before_it_comes_with_the_next_tick(playout: Playout) -> None:
    playout.mark("idle")
    assert events(run(playout, 2)) == [(MarkPlayed("idle", 0),), ()]


def test_a_mark_before_an_utterance_comes_ahead_of_its_start(playout: Playout) -> None:
    playout.mark("before")
    playout.push(frames(2), "u")
    assert playout.tick(9).events == (MarkPlayed("before", 9), UtteranceStarted("u", 9))


def test_a_mark_on_an_underrun_comes_with_the_next_tick(playout: Playout) -> None:
    playout.push(frames(1), "u")
    run(playout, 2)
    playout.mark("dry")
    assert playout.tick(7).events == (MarkPlayed("dry", 7),)


def test_an_underrun_is_silence_counted_and_reported_once_per_gap(playout: Playout) -> None:
    playout.push(frames(1), "u")
    gap = run(playout, 4)[1:]
    assert gap == [Tick(SILENCE, False, False, (Underrun("u", 1),)), *2 * [Tick(SILENCE, False, False, ())]]
    playout.push(frames(1), "u")
    playout.tick(4)
    assert playout.tick(5).events == (Underrun("u", 5),)
    assert (playout.underruns, playout.underrun_frames) == (2, 4)


def test_an_empty_queue_after_finish_is_no_underrun(playout: Playout) -> None:
    playout.push(frames(1), "u")
    run(playout, 1)
    playout.finish("u")
    assert events(run(playout, 3, first_ns=1)) == [(UtteranceEnded("u", 1, 1),), (), ()]
    assert playout.underruns == 0


def test_marker_only_on_the_first_speech_frame_after_silence(playout: Playout) -> None:
    playout.push(frames(2), "a")
    markers = [tick.marker for tick in run(playout, 3)]
    playout.push(frames(2), "a")
    playout.finish("a")
    playout.push(frames(1), "b")
    markers += [tick.marker for tick in run(playout, 3)]
    assert markers == [True, False, False, True, False, False]


def test_utterances_queued_back_to_back_end_and_start_on_their_own_frames(playout: Playout) -> None:
    playout.push(frames(2), "a")
    playout.finish("a")
    playout.push(frames(2, first=10), "b")
    playout.finish("b")
    ticks = run(playout, 5)
    assert events(ticks) == [
        (UtteranceStarted("a", 0),),
        (UtteranceEnded("a", 1, 2),),
        (UtteranceStarted("b", 2),),
        (UtteranceEnded("b", 3, 2),),
        (),
    ]
    assert heard(ticks) == frames(2) + frames(2, first=10)


def test_an_utterance_without_frames_starts_and_ends_in_one_tick(playout: Playout) -> None:
    playout.finish("nothing")
    assert playout.tick(1).events == (UtteranceStarted("nothing", 1), UtteranceEnded("nothing", 1, 0))
    playout.push(frames(1), "a")
    playout.finish("a")
    playout.finish("nothing")
    assert playout.tick(2).events == (
        UtteranceStarted("a", 2),
        UtteranceEnded("a", 2, 1),
        UtteranceStarted("nothing", 2),
        UtteranceEnded("nothing", 2, 0),
    )
    assert playout.state is PlayoutState.IDLE


def test_clear_tells_what_was_heard_and_what_was_not(playout: Playout) -> None:
    playout.push(frames(3), "before")
    playout.finish("before")
    playout.push(frames(5), "now")
    playout.mark("heard")
    playout.push(frames(5), "now")
    playout.mark("lost")
    playout.finish("now")
    playout.push(frames(4), "later")
    playout.mark("lost too")
    run(playout, 3 + 6)
    assert playout.clear() == Cleared(
        "now", 6, 120, dropped_frames=8, marks=("lost", "lost too"), unheard=("later",)
    )
    assert run(playout, 2) == 2 * [Tick(SILENCE, False, False, ())]
    assert (playout.state, playout.underruns, playout.room_frames) == (PlayoutState.IDLE, 0, 3000)


def test_clear_before_the_first_tick_says_that_nothing_was_heard(playout: Playout) -> None:
    playout.push(frames(3), "u")
    assert playout.clear() == Cleared(None, 0, 0, 3, unheard=("u",))


def test_clear_of_an_idle_line_is_empty(playout: Playout) -> None:
    playout.push(frames(1), "u")
    playout.finish("u")
    run(playout, 1)
    assert playout.clear() == Cleared(None, 0, 0, 0)


def test_after_a_clear_another_utterance_counts_from_its_own_start(playout: Playout) -> None:
    playout.push(frames(9), "a")
    run(playout, 4)
    playout.clear()
    playout.push(frames(9), "b")
    run(playout, 2)
    assert playout.clear() == Cleared("b", 2, 40, 7)


def test_prebuffer_holds_the_start_of_each_utterance_and_is_no_underrun() -> None:
    playout = Playout(TELEPHONE, prebuffer_frames=3)
    playout.push(frames(2), "a")
    assert heard(run(playout, 2)) == []
    playout.push(frames(1), "a")
    assert len(heard(run(playout, 3))) == 3
    assert playout.underruns == 0
    playout.push(frames(1), "a")
    assert len(heard(run(playout, 1))) == 1, "an utterance under way is not held again"
    playout.finish("a")
    playout.push(frames(2), "b")
    assert heard(run(playout, 2)) == []
    playout.finish("b")
    assert len(heard(run(playout, 2))) == 2, "what is whole is not held"


def test_a_push_beyond_the_room_is_refused_whole() -> None:
    playout = Playout(TELEPHONE, capacity_frames=4)
    playout.push(frames(3))
    with pytest.raises(PlayoutFull, match="frames: 2 pushed, room for 1"):
        playout.push(frames(2))
    assert (playout.lead_frames, playout.room_frames) == (3, 1)
    playout.push(frames(1))
    assert playout.room_frames == 0


def test_a_refused_push_opens_no_utterance() -> None:
    playout = Playout(TELEPHONE, capacity_frames=1)
    with pytest.raises(PlayoutFull):
        playout.push(frames(2), "a")
    assert playout.state is PlayoutState.IDLE
    assert playout.open_id is None


def test_waiting_marks_are_bounded_and_an_open_utterance_can_still_finish(playout: Playout) -> None:
    playout.push(frames(1))
    for n in range(MAX_POINTS - 1):
        playout.mark(str(n))
    with pytest.raises(PlayoutFull, match="points: 1024"):
        playout.mark("one more")
    playout.finish()
    with pytest.raises(PlayoutFull):
        playout.finish("another")
    with pytest.raises(PlayoutFull):
        playout.push(frames(1), "another")
    assert playout.state is PlayoutState.DRAINING


def test_a_payload_that_is_not_one_frame_is_a_mistake(playout: Playout) -> None:
    with pytest.raises(AssertionError, match="one payload is one frame"):
        playout.push([bytes(159)])


def test_an_utterance_cannot_be_pushed_into_another(playout: Playout) -> None:
    playout.push(frames(1), "a")
    with pytest.raises(IllegalMove, match="playout cannot go from speaking 'a' to speaking 'b'"):
        playout.push(frames(1), "b")
    with pytest.raises(IllegalMove, match="playout cannot go from speaking 'a' to draining 'b'"):
        playout.finish("b")


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda playout: playout.push([SILENCE]), "playout cannot go from closed to speaking"),
        (lambda playout: playout.push([]), "playout cannot go from closed to speaking"),
        (lambda playout: playout.mark("m"), "playout cannot go from closed to mark"),
        (lambda playout: playout.finish(), "playout cannot go from closed to draining"),
        (lambda playout: playout.clear(), "playout cannot go from closed to idle"),
        (lambda playout: playout.tick(0), "playout cannot go from closed to tick"),
    ],
)
def test_a_closed_playout_does_nothing_more(
    playout: Playout, act: Callable[[Playout], object], sentence: str
) -> None:
    playout.push(frames(2), "u")
    playout.tick(0)
    assert playout.close() == Cleared("u", 1, 20, 1)
    with pytest.raises(IllegalMove) as caught:
        act(playout)
    assert str(caught.value) == sentence
    assert playout.close() == Cleared(None, 0, 0, 0)


@dataclass(frozen=True)
class Queued:
    """One thing in the model's queue: a frame, a mark, or the start or end of an utterance."""

    kind: str
    name: str = ""
    payload: bytes = SILENCE


@dataclass
class Model:
    """The queue as one list of frames and of things to report in between. Slow and obvious."""

    queue: list[Queued] = field(default_factory=list)
    open_id: str | None = None
    current: str | None = None
    played_frames: int = 0
    silent: bool = True
    dry: bool = False

    def push(self, payloads: list[bytes], name: str) -> None:
        if payloads and self.open_id is None:
            self.queue.append(Queued("start", name))
            self.open_id = name
        self.queue += [Queued("frame", payload=payload) for payload in payloads]

    def finish(self, name: str) -> None:
        if self.open_id is None:
            self.queue.append(Queued("start", name))
        self.queue.append(Queued("end", name))
        self.open_id = None

    def names(self, kind: str) -> tuple[str, ...]:
        return tuple(each.name for each in self.queue if each.kind == kind)

    def clear(self) -> Cleared:
        played = self.played_frames if self.current is not None else 0
        dropped = len(self.names("frame"))
        cleared = Cleared(self.current, played, played * 20, dropped, self.names("mark"), self.names("start"))
        self.queue, self.open_id, self.current, self.dry = [], None, None, False
        return cleared

    def tick(self, now_ns: int) -> Tick:
        payload: bytes | None = None
        reported: list[PlayoutEvent] = []
        while self.queue and not (payload and self.next_needs_a_frame()):
            first = self.queue.pop(0)
            if first.kind == "frame":
                payload = first.payload
                self.played_frames += 1
            else:
                reported.append(self.report(first, now_ns))
        speech = payload is not None
        if not speech and self.open_id is not None and not self.dry:
            reported.append(Underrun(self.open_id, now_ns))
        self.dry = not speech and self.open_id is not None
        marker, self.silent = speech and self.silent, not speech
        return Tick(payload or SILENCE, speech, marker, tuple(reported))

    def next_needs_a_frame(self) -> bool:
        """A frame does, and so does the start of an utterance that has one."""
        kinds = [each.kind for each in self.queue[:2]]
        return kinds[0] == "frame" or kinds == ["start", "frame"]

    def report(self, passed: Queued, now_ns: int) -> PlayoutEvent:
        if passed.kind == "mark":
            return MarkPlayed(passed.name, now_ns)
        if passed.kind == "end":
            self.current = None
            return UtteranceEnded(passed.name, now_ns, self.played_frames)
        self.current, self.played_frames = passed.name, 0
        return UtteranceStarted(passed.name, now_ns)


acts = st.one_of(
    st.tuples(st.just("push"), st.integers(0, 4)),
    st.tuples(st.just("tick"), st.integers(1, 4)),
    st.sampled_from((("mark", 0), ("finish", 0), ("clear", 0))),
)


@settings(max_examples=300)
@given(st.lists(acts, max_size=40))
def test_any_interleaving_of_acts_agrees_with_the_model(script: list[tuple[str, int]]) -> None:
    playout, model = Playout(TELEPHONE), Model()
    now_ns = 0
    for made, (act, count) in enumerate([*script, ("tick", 12), ("clear", 0)]):
        name = model.open_id or f"u{made}"
        if act == "push":
            payloads = frames(count, first=1 + made * 10)
            playout.push(payloads, name)
            model.push(payloads, name)
        elif act == "mark":
            playout.mark(f"m{made}")
            model.queue.append(Queued("mark", f"m{made}"))
        elif act == "finish":
            playout.finish(name)
            model.finish(name)
        elif act == "clear":
            assert playout.clear() == model.clear()
        else:
            for _ in range(count):
                now_ns += 1
                assert playout.tick(now_ns) == model.tick(now_ns)
        assert playout.lead_frames == len(model.names("frame"))
        assert playout.open_id == model.open_id


@given(st.lists(acts, max_size=40), st.integers(1, 4))
def test_every_mark_and_utterance_is_reported_once_or_cleared_once(
    script: list[tuple[str, int]], prebuffer_frames: int
) -> None:
    playout = Playout(TELEPHONE, prebuffer_frames)
    opened: list[str] = []
    closed: list[str] = []
    for made, (act, count) in enumerate([*script, ("tick", 200), ("clear", 0)]):
        name = playout.open_id or f"u{made}"
        if act == "push":
            opened += [name] if count and playout.open_id is None else []
            playout.push(frames(count), name)
        elif act == "mark":
            opened.append(f"m{made}")
            playout.mark(f"m{made}")
        elif act == "finish":
            opened += [name] if playout.open_id is None else []
            playout.finish(name)
        elif act == "clear":
            cleared = playout.clear()
            closed += [*cleared.marks, *cleared.unheard]
            closed += [cleared.utterance_id] if cleared.utterance_id is not None else []
        else:
            for tick in run(playout, count):
                closed += [event.name for event in tick.events if isinstance(event, MarkPlayed)]
                closed += [event.utterance_id for event in tick.events if isinstance(event, UtteranceEnded)]
    assert sorted(closed) == sorted(opened)
