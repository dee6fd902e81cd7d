"""One call on a line of the test's own: order, limits, barge-in, failures, and what is left afterwards."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from engines import EngineConfig, SpeechEngine, SpeechRequest, open_engine
from server.call import MAX_WAITING_MARKS, MAX_WAITING_UTTERANCES, Call, CallRefused, CallSetup, CallState
from server.line import FastLine
from server.messages import Cleared, Error, MarkReached, ServerMessage, UtteranceEnded, UtteranceStarted
from server.metrics import Metrics
from telephony.encoder import LineEncoder
from telephony.format import TELEPHONE
from tests.fakes import slow_backend
from tests.fakes.slow_backend import Script
from tests.server.waiting import until


class Listener:
    """Takes everything at once, and is where the line's audio goes too."""

    def __init__(self) -> None:
        self.messages: list[ServerMessage] = []
        self.audio = bytearray()

    def notify(self, message: ServerMessage) -> None:
        self.messages.append(message)

    def send_frames(self, audio: bytes, frames: int) -> None:
        self.audio += audio

    def drop_audio(self) -> int:
        return 0

    async def room(self) -> None:
        await asyncio.sleep(0)

    def of(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.messages if isinstance(message, kind)]

    async def until(self, kind: type[Any], count: int = 1) -> Any:
        await until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)[count - 1]


class Scene:
    def __init__(self, engine: SpeechEngine, script: Script, max_text_chars: int) -> None:
        self.engine = engine
        self.script = script
        self.metrics = Metrics()
        self.heard = Listener()
        setup = CallSetup("id", "websocket", SpeechRequest(), TELEPHONE, False, max_text_chars)
        self.call = Call(setup, engine, LineEncoder(TELEPHONE), self.metrics, self.heard.notify)
        self.call.start(FastLine(TELEPHONE, self.heard, self.call.on_line_event))

    def say(self, *texts: str) -> None:
        for text in texts:
            self.call.text(text)
            self.call.flush()

    def utterances(self, reason: str) -> float:
        return self.metrics.registry.get_sample_value("talkspurt_utterances_total", {"reason": reason}) or 0


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A running call; afterwards it is closed and the engine must be empty."""

    @asynccontextmanager
    async def open_scene(max_text_chars: int = 200, **told: Any) -> AsyncIterator[Scene]:
        with slow_backend.install(monkeypatch, **told) as script:
            engine = open_engine(EngineConfig.resolve(backend="slow", max_utterances=2))
            try:
                here = Scene(engine, script, max_text_chars)
                yield here
                script.gate.set()
                await here.call.close()
                await until(lambda: not engine.in_use)
            finally:
                script.gate.set()
                await asyncio.to_thread(engine.close)

    return open_scene


OpenScene = Callable[..., Any]


async def test_utterances_are_spoken_one_after_the_other_in_order(scene: OpenScene) -> None:
    async with scene() as here:
        here.say("One sentence. ", "Another sentence. ", "And a third. ")
        assert here.call.utterances == 3
        await here.heard.until(UtteranceEnded, 3)
        told = [
            (type(message).__name__, message.utterance)
            for message in here.heard.messages
            if isinstance(message, UtteranceStarted | UtteranceEnded)
        ]
        assert told == [(kind, n) for n in (1, 2, 3) for kind in ("UtteranceStarted", "UtteranceEnded")]
        assert here.utterances("completed") == 3


async def test_at_most_one_utterance_of_a_call_is_with_the_engine(scene: OpenScene) -> None:
    async with scene(open_windows=0) as here:
        here.say("One. ", "Two. ", "Three. ")
        for _ in range(20):
            await asyncio.sleep(0.002)
            assert here.engine.in_use <= 1
        here.script.gate.set()
        await here.heard.until(UtteranceEnded, 3)


async def test_text_comes_in_pieces_until_it_is_flushed(scene: OpenScene) -> None:
    async with scene() as here:
        for piece in ("A sentence ", "in pie", "ces. "):
            here.call.text(piece)
        assert here.call.utterances == 1
        here.call.flush()
        here.call.flush()
        ended = await here.heard.until(UtteranceEnded)
        assert ended.played_ms == len(here.heard.audio) // 160 * 20
        here.call.text("Next. ")
        assert here.call.utterances == 2
        here.call.flush()
        await here.heard.until(UtteranceEnded, 2)


async def test_a_finished_sentence_is_spoken_before_the_flush(scene: OpenScene) -> None:
    async with scene() as here:
        here.call.text("This sentence is whole. And this one is n")
        await here.heard.until(UtteranceStarted)
        assert not here.heard.of(UtteranceEnded)
        assert here.call.state is CallState.SPEAKING


async def test_states_follow_what_the_call_does(scene: OpenScene) -> None:
    async with scene(open_windows=0) as here:
        states = [here.call.state]
        here.say("Hello. ")
        states.append(here.call.state)
        draining = asyncio.create_task(here.call.drain())
        await asyncio.sleep(0)
        states.append(here.call.state)
        here.script.gate.set()
        await asyncio.wait_for(draining, 2)
        await here.call.close()
        await here.call.close()
        states.append(here.call.state)
    assert states == [CallState.IDLE, CallState.SPEAKING, CallState.DRAINING, CallState.CLOSED]


async def test_draining_speaks_an_unflushed_text_and_takes_no_more(scene: OpenScene) -> None:
    async with scene() as here:
        here.call.text("No full stop here")
        here.call.finish()
        with pytest.raises(CallRefused) as refused:
            here.call.text("More. ")
        assert (refused.value.code, refused.value.field) == ("unexpected", "text")
        await asyncio.wait_for(here.call.drain(), 2)
        assert (await here.heard.until(UtteranceEnded)).reason == "completed"


async def test_draining_an_idle_call_returns_at_once(scene: OpenScene) -> None:
    async with scene() as here:
        await asyncio.wait_for(here.call.drain(), 0.1)


# Limits


async def test_an_utterance_over_the_limit_keeps_what_it_had(scene: OpenScene) -> None:
    async with scene(max_text_chars=10) as here:
        here.call.text("a" * 9)
        with pytest.raises(CallRefused) as refused:
            here.call.text("bb")
        assert (refused.value.code, refused.value.field) == ("text_too_long", "text")
        here.call.text("c")
        here.call.flush()
        here.call.text("d" * 10)
        cleared = here.call.clear()
        assert cleared.text_spoken + cleared.text_not_spoken == "a" * 9 + "c" + "d" * 10


async def test_utterances_wait_up_to_a_bound(scene: OpenScene) -> None:
    async with scene(open_windows=0) as here:
        here.say(*["Wait. "] * MAX_WAITING_UTTERANCES)
        with pytest.raises(CallRefused) as refused:
            here.call.text("Too many. ")
        assert refused.value.code == "too_many"
        here.call.clear()
        here.say("Room again. ")


async def test_marks_wait_up_to_a_bound_and_each_that_is_reached_makes_room(scene: OpenScene) -> None:
    async with scene(open_windows=0) as here:
        here.say("Wait. ")
        for number in range(MAX_WAITING_MARKS):
            here.call.mark(str(number))
        with pytest.raises(CallRefused) as refused:
            here.call.mark("one more")
        assert (refused.value.code, refused.value.field) == ("too_many", "name")
        here.script.gate.set()
        await here.heard.until(MarkReached, MAX_WAITING_MARKS)
        here.call.mark("one more")
        assert (await here.heard.until(MarkReached, MAX_WAITING_MARKS + 1)).name == "one more"


# Marks


async def test_marks_are_told_with_their_utterance_in_the_order_they_were_set(scene: OpenScene) -> None:
    async with scene() as here:
        here.call.mark("before all")
        here.call.text("One sentence. ")
        here.call.mark("after one: with:colons")
        here.call.text("Another one. ")
        here.call.mark("after two")
        here.call.flush()
        await here.heard.until(UtteranceEnded)
        here.call.mark("when idle")
        marks = here.heard.of(MarkReached)
        assert [(mark.name, mark.utterance, mark.state) for mark in marks] == [
            ("before all", 0, "sent"),
            ("after one: with:colons", 1, "sent"),
            ("after two", 1, "sent"),
            ("when idle", 1, "sent"),
        ]
        positions = [mark.played_ms for mark in marks]
        assert 0 == positions[0] < positions[1] < positions[2] == positions[3]


# Barge-in


async def test_clear_drops_all_and_tells_marks_first(scene: OpenScene) -> None:
    async with scene(open_windows=1) as here:
        text = "A first sentence of some length, which is begun and never ended by anyone. "
        here.say(text)
        here.call.mark("in the first")
        here.say("Second. ")
        here.call.mark("in the second")
        await here.heard.until(UtteranceStarted)
        cleared = here.call.clear()
        assert cleared.utterance == 1
        assert cleared.text_spoken + cleared.text_not_spoken == text + "Second. "
        assert [(mark.name, mark.state) for mark in here.heard.of(MarkReached)] == [
            ("in the first", "cleared"),
            ("in the second", "cleared"),
        ]
        assert here.call.state is CallState.IDLE
        heard_bytes = len(here.heard.audio)
        here.script.gate.set()
        await asyncio.sleep(0.05)
        assert len(here.heard.audio) == heard_bytes, "nothing stale follows"
        assert here.utterances("cancelled") == 1


async def test_after_clear_the_next_utterance_is_spoken_whole(scene: OpenScene) -> None:
    async with scene() as here:
        here.say("Fresh. ")
        await here.heard.until(UtteranceEnded)
        fresh_bytes = len(here.heard.audio)
    async with scene(open_windows=1) as here:
        here.say("This is cut off while its second window is not there. ")
        await here.heard.until(UtteranceStarted)
        here.call.clear()
        before = len(here.heard.audio)
        here.script.gate.set()
        here.say("Fresh. ")
        await here.heard.until(UtteranceEnded)
        assert here.call.utterances == 2
        assert len(here.heard.audio) - before == fresh_bytes


async def test_clear_again_and_again_at_any_moment_is_answered_and_leaves_nothing(scene: OpenScene) -> None:
    async with scene() as here:
        for turns in range(60):
            here.say("Some words to say. ", "And some more. ")
            for _ in range(turns % 12):
                await asyncio.sleep(0)
            cleared = here.call.clear()
            assert cleared.text_spoken + cleared.text_not_spoken in (
                "Some words to say. And some more. ",
                "And some more. ",
                "",
            )
        assert isinstance(here.call.clear(), Cleared)
        assert here.call.state is CallState.IDLE


async def test_clear_by_position_splits_an_utterance_already_sent(scene: OpenScene) -> None:
    async with scene() as here:
        here.say("One two three four five six. ")
        ended = await here.heard.until(UtteranceEnded)
        half = here.call.clear(1, ended.played_ms / 2)
        assert half.utterance == 1
        assert half.text_spoken
        assert half.text_not_spoken
        unknown = here.call.clear(7, 100)
        assert (unknown.utterance, unknown.text_spoken, unknown.text_not_spoken) == (7, "", "")


async def test_a_cancelled_utterance_does_not_hold_up_the_next_but_many_do(scene: OpenScene) -> None:
    async with scene(open_windows=0) as here:
        in_use = []
        for _ in range(4):
            here.say("Cut off at once. ")
            await asyncio.sleep(0.01)
            in_use.append(here.engine.in_use)
            here.call.clear()
        assert in_use == [1, 2, 2, 2]
        here.say("Spoken. ")
        here.script.gate.set()
        assert (await here.heard.until(UtteranceEnded)).reason == "completed"


# Failures


@pytest.mark.parametrize("step", ["prefill", "decode", "window"])
async def test_an_utterance_that_fails_is_told_and_the_next_is_spoken(step: str, scene: OpenScene) -> None:
    async with scene(fails_in=step) as here:
        here.say("This is broken. ", "This is whole. ")
        error = await here.heard.until(Error)
        assert (error.code, error.fatal) == ("speech_failed", False)
        await here.heard.until(UtteranceEnded, 2)
        reasons = [message.reason for message in here.heard.of(UtteranceEnded)]
        assert reasons == ["failed", "completed"]
        assert [message.utterance for message in here.heard.of(UtteranceStarted)] == [2]
        assert here.utterances("failed") == 1


async def test_marks_of_a_failed_utterance_are_still_told(scene: OpenScene) -> None:
    async with scene(fails_in="window") as here:
        here.call.text("This is broken. ")
        here.call.mark("behind it")
        here.call.flush()
        await here.heard.until(UtteranceEnded)
        assert [mark.name for mark in here.heard.of(MarkReached)] == ["behind it"]


async def test_a_fault_of_ours_is_told_as_fatal(scene: OpenScene, monkeypatch: pytest.MonkeyPatch) -> None:
    async with scene() as here:
        monkeypatch.setattr(LineEncoder, "push", lambda *_: 1 / 0)
        here.say("Hello. ")
        error = await here.heard.until(Error)
        assert (error.code, error.fatal) == ("internal", True)


async def test_an_engine_that_stops_ends_the_utterance_as_failed(scene: OpenScene) -> None:
    async with scene(open_windows=1) as here:
        here.say("This is a sentence that takes more than the one window there is. ")
        await here.heard.until(UtteranceStarted)
        here.script.gate.set()
        await asyncio.to_thread(here.engine.close)
        here.say("Nobody speaks this. ")
        await here.heard.until(Error)
        assert all(error.code == "speech_failed" for error in here.heard.of(Error))
        await asyncio.wait_for(here.call.drain(), 2)


@pytest.mark.parametrize("text", ["", "   ", "*** "])
async def test_an_utterance_of_nothing_ends_without_a_start_and_without_a_time(
    text: str, scene: OpenScene
) -> None:
    async with scene() as here:
        here.say(text)
        ended = await here.heard.until(UtteranceEnded)
        assert (ended.played_ms, ended.reason) == (0, "completed")
        assert not here.heard.of(UtteranceStarted)
        labels = {"protocol": "websocket"}
        assert not here.metrics.registry.get_sample_value("talkspurt_ttfa_seconds_count", labels)


# Leaving


@pytest.mark.parametrize("turns", [0, 1, 3, 30])
async def test_closing_at_any_moment_leaves_nothing_with_the_engine(turns: int, scene: OpenScene) -> None:
    async with scene(window_s=0.005) as here:
        here.say("Some words to say. ", "And some more. ")
        for _ in range(turns):
            await asyncio.sleep(0.001)
        await here.call.close()
        audio = len(here.heard.audio)
        await asyncio.sleep(0.02)
        assert len(here.heard.audio) == audio
