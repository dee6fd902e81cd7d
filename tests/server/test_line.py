"""Lines: a paced one gives a frame a tick and knows what was heard, a fast one gives what it has at once."""

import asyncio

import pytest

from server.line import MAX_LEAD_MS, FastLine, PacedLine, wait_for_lead
from telephony.format import TELEPHONE
from telephony.net.clock import Ticker
from telephony.playout import MarkPlayed, PlayoutEvent, Underrun, UtteranceEnded, UtteranceStarted
from tests.fakes.clock import FakeClock

PTIME_NS = 20_000_000
SILENCE = TELEPHONE.silence


class Sink:
    """A connection that takes audio only when told: what it has not taken can be dropped."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.waiting: list[tuple[bytes, int]] = []
        self.stuck = False

    def send_frames(self, audio: bytes, frames: int) -> None:
        if self.stuck:
            self.waiting.append((audio, frames))
        else:
            self.heard.append(audio)

    def drop_audio(self) -> int:
        dropped = sum(frames for _, frames in self.waiting)
        self.waiting.clear()
        return dropped

    async def room(self) -> None:
        """There always is."""


def frames(count: int, first: int = 0) -> list[bytes]:
    return [bytes([first + number]) * TELEPHONE.payload_bytes for number in range(count)]


class Scene:
    """A paced line on a clock that stands still until told."""

    def __init__(self, silence: bool = False) -> None:
        self.clock = FakeClock()
        self.ticker = Ticker(self.clock)
        self.sink = Sink()
        self.events: list[PlayoutEvent | str] = []
        self.line = PacedLine(TELEPHONE, self.ticker, self.sink, self.events.append, silence)

    def pass_frames(self, count: int) -> None:
        self.clock.advance(count * PTIME_NS)

    @property
    def said(self) -> list[tuple[str, str]]:
        """(kind, utterance or mark) of each event."""
        names = []
        for event in self.events:
            assert not isinstance(event, str)
            names.append(
                (type(event).__name__, event.name if isinstance(event, MarkPlayed) else event.utterance_id)
            )
        return names


# Paced


def test_a_frame_leaves_each_ptime_and_silence_stays_home() -> None:
    scene = Scene()
    scene.pass_frames(3)
    scene.line.push(frames(2), "1")
    scene.line.finish("1")
    scene.pass_frames(1)
    assert scene.sink.heard == frames(1)
    scene.pass_frames(4)
    assert scene.sink.heard == frames(2)


def test_silence_fills_every_tick_where_it_is_wanted() -> None:
    scene = Scene(silence=True)
    scene.pass_frames(2)
    scene.line.push(frames(1), "1")
    scene.line.finish("1")
    scene.pass_frames(3)
    assert scene.sink.heard == [SILENCE, SILENCE, *frames(1), SILENCE, SILENCE]


def test_a_start_is_told_before_its_frame_and_marks_and_ends_after_theirs() -> None:
    scene = Scene()
    log: list[str] = []
    scene.sink.send_frames = lambda audio, frames: log.append(f"frame {audio[0]}")  # type: ignore[method-assign]
    scene.line._notify = lambda event: log.append(type(event).__name__)
    scene.line.push(frames(2), "1")
    scene.line.mark("behind both")
    scene.line.finish("1")
    scene.pass_frames(4)
    assert log == ["UtteranceStarted", "frame 0", "frame 1", "MarkPlayed", "UtteranceEnded"]


def test_a_line_that_runs_dry_says_so_once_and_counts_every_silent_frame() -> None:
    scene = Scene()
    scene.line.push(frames(1), "1")
    scene.pass_frames(4)
    assert scene.line.underrun_frames == 3
    scene.line.push(frames(1, first=1), "1")
    scene.line.finish("1")
    scene.pass_frames(3)
    assert scene.said == [("UtteranceStarted", "1"), ("Underrun", "1"), ("UtteranceEnded", "1")]
    assert scene.line.underrun_frames == 3


def test_clear_tells_the_frames_that_were_heard_and_silences_the_rest() -> None:
    scene = Scene()
    scene.line.push(frames(10), "1")
    scene.line.mark("never")
    scene.pass_frames(4)
    cleared = scene.line.clear()
    assert (cleared.utterance_id, cleared.played_frames, cleared.played_ms) == ("1", 4, 80)
    assert cleared.marks == ("never",)
    scene.pass_frames(5)
    assert scene.sink.heard == frames(4)


def test_frames_that_never_left_the_connection_were_not_heard() -> None:
    scene = Scene()
    scene.line.push(frames(10), "1")
    scene.pass_frames(4)
    scene.sink.stuck = True
    scene.pass_frames(3)
    cleared = scene.line.clear()
    assert (cleared.played_frames, cleared.played_ms, cleared.dropped_frames) == (4, 80, 6)


@pytest.mark.parametrize("silence", [True, False])
async def test_a_closed_line_has_left_the_ticker(silence: bool) -> None:
    scene = Scene(silence)
    scene.line.push(frames(3), "1")
    assert len(scene.ticker) == 1
    await scene.line.close()
    assert len(scene.ticker) == 0
    assert scene.clock.pending == 0


def test_only_a_line_that_is_silent_between_utterances_rests_between_them() -> None:
    for silence in (True, False):
        scene = Scene(silence)
        for _ in range(2):
            assert len(scene.ticker) == silence
            scene.line.push(frames(1), "1")
            scene.line.finish("1")
            assert len(scene.ticker) == 1
            scene.pass_frames(3)
        scene.line.mark("on an idle line")
        scene.pass_frames(2)
        assert scene.said[-1] == ("MarkPlayed", "on an idle line")
        assert len(scene.ticker) == silence


async def test_room_comes_back_as_the_lead_plays_down() -> None:
    lead_frames = MAX_LEAD_MS // 20 + 3
    loop = asyncio.get_running_loop()
    began = loop.time()
    await wait_for_lead(lambda: lead_frames - round((loop.time() - began) / 0.02), 20)
    assert loop.time() - began == pytest.approx(0.06, abs=0.03)


async def test_there_is_room_up_to_the_lead() -> None:
    await asyncio.wait_for(wait_for_lead(lambda: MAX_LEAD_MS // 20, 20), 0.01)


# Fast


def fast() -> tuple[FastLine, Sink, list[PlayoutEvent]]:
    sink, events = Sink(), list[PlayoutEvent]()
    return FastLine(TELEPHONE, sink, events.append), sink, events


def kinds(events: list[PlayoutEvent]) -> list[type[PlayoutEvent]]:
    return [type(event) for event in events]


def test_fast_frames_leave_at_once_in_one_message_a_push() -> None:
    line, sink, events = fast()
    line.push(frames(3), "1")
    line.push([], "1")
    line.push(frames(2, first=3), "1")
    assert sink.heard == [b"".join(frames(3)), b"".join(frames(2, first=3))]
    assert kinds(events) == [UtteranceStarted]


def test_fast_events_come_in_the_order_of_what_was_pushed() -> None:
    line, _, events = fast()
    line.push(frames(2), "1")
    line.mark("here")
    line.finish("1")
    line.push(frames(1), "2")
    line.finish("2")
    assert kinds(events) == [
        UtteranceStarted,
        MarkPlayed,
        UtteranceEnded,
        UtteranceStarted,
        UtteranceEnded,
    ]
    ended = [event.played_frames for event in events if isinstance(event, UtteranceEnded)]
    assert ended == [2, 1]
    assert not any(isinstance(event, Underrun) for event in events)


def test_fast_clear_counts_what_left_the_connection() -> None:
    line, sink, _ = fast()
    line.push(frames(5), "1")
    sink.stuck = True
    line.push(frames(3), "1")
    cleared = line.clear()
    assert (cleared.utterance_id, cleared.played_frames, cleared.dropped_frames) == ("1", 5, 3)
    line.push(frames(1), "2")
    assert line.clear().utterance_id == "2"


def test_fast_clear_between_utterances_names_none() -> None:
    line, _, _ = fast()
    line.push(frames(1), "1")
    line.finish("1")
    assert line.clear().utterance_id is None


def test_an_utterance_of_no_frames_starts_and_ends() -> None:
    line, sink, events = fast()
    line.finish("1")
    assert kinds(events) == [UtteranceStarted, UtteranceEnded]
    assert sink.heard == []
