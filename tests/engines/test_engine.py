"""The facade on its real thread, over a scripted backend: what callers see, and what is left behind."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines import AudioChunk, EngineConfig, FinishReason, Speech, SpeechEngine, SpeechRequest, open_engine
from engines.contract import Samples, StepRecord
from engines.errors import ConfigError, EngineClosed, EngineFull, InvalidRequest, SpeechFailed
from engines.scheduler.policy import StepKind
from engines.text import Segmenter, normalize
from engines.voices.library import VoiceLibrary
from tests.fakes.backend import FakeModel, Fault, audio_of, fake_backend

TEXT = "Hello there. Your order has shipped, and it will be with you on Monday! Is there anything else?"
THREAD = "talkspurt-engine"

OpenEngine = Callable[..., SpeechEngine]


@pytest.fixture
def start() -> Iterator[OpenEngine]:
    """Starts engines; afterwards each is closed and its thread has ended."""
    engines: list[SpeechEngine] = []

    def start_engine(
        model: FakeModel | None = None, observe: Callable[[StepRecord], None] | None = None, **settings: Any
    ) -> SpeechEngine:
        config = EngineConfig.resolve(**{"max_utterances": 4, **settings})
        engines.append(SpeechEngine(fake_backend(model), config, observe))
        return engines[-1]

    yield start_engine
    for engine in engines:
        engine.close()
        assert not engine.alive
        assert engine.in_use == 0
    assert [thread.name for thread in threading.enumerate() if thread.name == THREAD] == []


@pytest.fixture(autouse=True)
async def no_task_is_left() -> AsyncIterator[None]:
    yield
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def chunks_of(speech: Speech) -> list[AudioChunk]:
    return [chunk async for chunk in speech]


def joined(chunks: list[AudioChunk]) -> Samples:
    return np.concatenate([np.zeros(0, np.float32), *(chunk.samples for chunk in chunks)])


def spoken(text: str) -> list[str]:
    segmenter = Segmenter(max_chars=EngineConfig().max_segment_chars)
    return [normalize(segment.text) for segment in segmenter.push(text) + segmenter.flush()]


def expected(text: str, seed: int = 0, first_segment: int = 0) -> Samples:
    segments = enumerate(spoken(text), first_segment)
    return np.concatenate([audio_of(each, seed, segment=segment) for segment, each in segments])


# Speaking


async def test_a_text_is_spoken_exactly(start: OpenEngine) -> None:
    engine = start()
    speech = engine.speak(TEXT, SpeechRequest(seed=7))
    assert np.array_equal(joined(await chunks_of(speech)), expected(TEXT, seed=7))
    assert speech.finish_reason is FinishReason.COMPLETED
    assert speech.segments == len(spoken(TEXT)) == 3
    assert engine.in_use == 0


@pytest.mark.parametrize("cut_chars", [1, 2, 7, 40])
async def test_text_in_pieces_sounds_as_the_whole(start: OpenEngine, cut_chars: int) -> None:
    engine = start()
    whole = await chunks_of(engine.speak(TEXT))
    speech = engine.open(SpeechRequest())
    for first in range(0, len(TEXT), cut_chars):
        speech.push(TEXT[first : first + cut_chars])
        await asyncio.sleep(0)
    speech.finish()
    pieces = await chunks_of(speech)
    assert np.array_equal(joined(pieces), joined(whole))
    assert [(len(each.samples), each.span) for each in pieces] == [
        (len(each.samples), each.span) for each in whole
    ]


async def test_chunks_say_which_characters_they_speak(start: OpenEngine) -> None:
    chunks = await chunks_of(start().speak(TEXT))
    spans = dict.fromkeys(chunk.span for chunk in chunks)
    assert [TEXT[span.start_char : span.end_char] for span in spans] == [
        "Hello there.",
        "Your order has shipped, and it will be with you on Monday!",
        "Is there anything else?",
    ]


async def test_after_a_flush_spans_still_count_from_the_first_character(start: OpenEngine) -> None:
    speech = start().open(SpeechRequest())
    pushed = ["One moment ", "please", " while I look. Here it", " is"]
    for piece in pushed:
        speech.push(piece)
        speech.flush()
    speech.finish()
    text = "".join(pushed)
    spans = dict.fromkeys(chunk.span for chunk in await chunks_of(speech))
    assert [text[span.start_char : span.end_char] for span in spans] == [
        "One moment",
        "please",
        "while I look.",
        "Here it",
        "is",
    ]


async def test_a_flush_speaks_what_is_held_back_though_more_may_follow(start: OpenEngine) -> None:
    speech = start().open(SpeechRequest())
    speech.push("One moment")
    speech.flush()
    chunk = await anext(speech)
    assert np.array_equal(chunk.samples, expected("One moment"))
    assert speech.finish_reason is None
    speech.push(" please")
    speech.finish()
    assert np.array_equal(joined(await chunks_of(speech)), expected("please", first_segment=1))


@pytest.mark.parametrize("text", ["", "  \n ", "🎉"])
async def test_nothing_to_speak_completes_without_audio(start: OpenEngine, text: str) -> None:
    speech = start().speak(text)
    assert await chunks_of(speech) == []
    assert (speech.segments, speech.finish_reason) == (0, FinishReason.COMPLETED)


async def test_many_at_once_each_hear_their_own(start: OpenEngine) -> None:
    engine = start(max_utterances=60)
    texts = [f"This is caller {each} speaking. Goodbye." for each in range(60)]
    heard = await asyncio.gather(
        *(chunks_of(engine.speak(text, SpeechRequest(seed=each))) for each, text in enumerate(texts))
    )
    for each, (text, chunks) in enumerate(zip(texts, heard, strict=True)):
        assert np.array_equal(joined(chunks), expected(text, seed=each))


async def test_audio_longer_than_the_readers_bound_arrives_whole(start: OpenEngine) -> None:
    engine = start(chunk_tokens=[4], max_unread_ms=560, max_unspoken_ms=560)
    assert np.array_equal(joined(await chunks_of(engine.speak(TEXT))), expected(TEXT))


async def test_readers_on_different_loops_share_one_engine(start: OpenEngine) -> None:
    engine = start()
    heard: dict[str, Samples] = {}

    def caller(name: str) -> None:
        async def listen() -> None:
            heard[name] = joined(await chunks_of(engine.speak(f"This is {name}.")))

        asyncio.run(listen())

    threads = [threading.Thread(target=caller, args=(name,)) for name in ("Ann", "Bob", "Eve")]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert all(np.array_equal(heard[name], expected(f"This is {name}.")) for name in ("Ann", "Bob", "Eve"))


async def test_warming_up_goes_through_every_lane_and_leaves_nothing(start: OpenEngine) -> None:
    records: list[StepRecord] = []
    engine = start(observe=records.append)
    await engine.warm_up()
    assert {record.kind for record in records} == {"prefill", "decode", "window"}
    assert engine.in_use == 0


class Warmed:
    """An enroller that counts how often it is warmed."""

    def __init__(self) -> None:
        self.times = 0

    def warm_up(self) -> None:
        self.times += 1

    def enroll(self, samples: Samples, /) -> None:
        """Not asked for here."""


@pytest.mark.parametrize(("has_folder", "times"), [(True, 1), (False, 0)])
async def test_the_enroller_is_warmed_where_there_is_a_folder_for_its_voices(
    tmp_path: Path, has_folder: bool, times: int
) -> None:
    backend, enroller = fake_backend(), Warmed()
    voices = VoiceLibrary(tmp_path if has_folder else None, backend.voices)
    engine = SpeechEngine(replace(backend, voices=voices, enroller=enroller), EngineConfig())
    await engine.warm_up()
    engine.close()
    assert enroller.times == times


async def test_a_voice_that_cannot_be_read_does_not_keep_the_engine_from_warming_up(tmp_path: Path) -> None:
    (tmp_path / "aaa.safetensors").write_bytes(b"no voice")
    records: list[StepRecord] = []
    backend = replace(fake_backend(), voices=VoiceLibrary(tmp_path, {}))
    engine = SpeechEngine(backend, EngineConfig(), records.append)
    await engine.warm_up()
    engine.close()
    assert records == [], "there is no voice to warm with"


# At the door


async def test_an_unknown_voice_is_refused_and_takes_no_place(start: OpenEngine) -> None:
    engine = start()
    with pytest.raises(InvalidRequest, match="voice: 'nobody' is unknown; known are default"):
        engine.open(SpeechRequest(voice="nobody"))
    assert engine.in_use == 0


async def test_a_text_that_is_too_long_is_refused_and_its_place_is_free_again(start: OpenEngine) -> None:
    engine = start(max_utterances=1, max_text_chars=50)
    with pytest.raises(InvalidRequest, match=r"text: 'xxxx.* makes the utterance longer than 50 characters"):
        engine.speak("x" * 51)
    await until(lambda: engine.in_use == 0)
    assert np.array_equal(joined(await chunks_of(engine.speak("x" * 50))), expected("x" * 50))


async def test_a_text_that_grows_too_long_keeps_what_was_pushed(start: OpenEngine) -> None:
    speech = start(max_text_chars=50).open(SpeechRequest())
    speech.push("Good morning. ")
    with pytest.raises(InvalidRequest, match="longer than 50 characters"):
        speech.push("x" * 37)
    speech.finish()
    assert np.array_equal(joined(await chunks_of(speech)), expected("Good morning."))


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    pytest.fail("the engine thread did not get there")


async def test_a_full_engine_refuses_with_its_places_and_when_to_come_back(start: OpenEngine) -> None:
    engine = start(max_utterances=3, retry_after_s=2.5)
    speeches = [engine.open(SpeechRequest()) for _ in range(3)]
    for _ in range(2):
        with pytest.raises(EngineFull, match=r"all 3 places are taken; try again in 2\.5 s") as caught:
            engine.open(SpeechRequest())
        assert (caught.value.places, caught.value.retry_after_s, engine.in_use) == (3, 2.5, 3)
    for speech in speeches:
        speech.push(TEXT)
        speech.finish()
        assert np.array_equal(joined(await chunks_of(speech)), expected(TEXT))
    assert engine.in_use == 0


async def test_exactly_as_many_get_in_as_there_are_places(start: OpenEngine) -> None:
    engine = start(max_utterances=5)
    admitted, refused = [], 0
    for _ in range(12):
        try:
            admitted.append(engine.open(SpeechRequest()))
        except EngineFull:
            refused += 1
    assert (len(admitted), refused) == (5, 7)


async def test_an_unknown_backend_is_a_config_error_that_names_the_known() -> None:
    known = "use onnx, pocket, preview, pytorch, tone"
    with pytest.raises(ConfigError, match=f"backend: 'abacus' is unknown; {known}"):
        open_engine(EngineConfig(backend="abacus"))


# Cancelling


async def test_cancelling_frees_the_place(start: OpenEngine) -> None:
    engine = start(max_utterances=1)
    speech = engine.open(SpeechRequest())
    speech.cancel()
    assert await chunks_of(speech) == []
    assert (speech.finish_reason, engine.in_use) == (FinishReason.CANCELLED, 0)
    assert np.array_equal(joined(await chunks_of(engine.speak(TEXT))), expected(TEXT))


async def test_cancelling_in_the_middle_ends_the_audio_and_frees_every_slot(start: OpenEngine) -> None:
    model = FakeModel({"Endless.": Fault.NEVER_STOPS})
    speech = start(model).speak("Endless.")
    await anext(speech)
    speech.cancel()
    await chunks_of(speech)
    assert speech.finish_reason is FinishReason.CANCELLED
    assert model.held == {}


async def test_cancelling_twice_or_after_the_end_changes_nothing(start: OpenEngine) -> None:
    engine = start()
    speech = engine.speak("Hello.")
    await chunks_of(speech)
    speech.cancel()
    speech.cancel()
    await chunks_of(engine.speak("Hello."))
    assert speech.finish_reason is FinishReason.COMPLETED


async def test_text_pushed_after_a_cancel_is_ignored(start: OpenEngine) -> None:
    engine = start()
    speech = engine.open(SpeechRequest())
    speech.cancel()
    speech.push(TEXT)
    speech.finish()
    assert await chunks_of(speech) == []
    assert speech.finish_reason is FinishReason.CANCELLED


async def test_text_pushed_after_finish_is_a_bug(start: OpenEngine) -> None:
    speech = start().speak(TEXT)
    with pytest.raises(AssertionError, match="text was pushed after finish"):
        speech.push("more")
    await chunks_of(speech)


async def test_leaving_the_block_cancels_and_frees_the_place(start: OpenEngine) -> None:
    engine = start()
    async with engine.speak(TEXT) as speech:
        await anext(speech)
    await chunks_of(speech)
    assert engine.in_use == 0


async def test_a_cancelled_reader_task_frees_its_place(start: OpenEngine) -> None:
    engine = start()

    async def listen() -> None:
        async with engine.open(SpeechRequest()) as speech:
            async for _ in speech:
                pass

    reader = asyncio.create_task(listen())
    await asyncio.sleep(0)
    assert engine.in_use == 1
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    await until(lambda: engine.in_use == 0)


async def test_a_reader_that_stops_hurts_nobody_else(start: OpenEngine) -> None:
    engine = start(FakeModel({"Endless.": Fault.NEVER_STOPS}), max_utterances=8)
    stopped = [engine.speak("Endless.") for _ in range(4)]
    heard = await asyncio.gather(*(chunks_of(engine.speak(TEXT)) for _ in range(4)))
    assert all(np.array_equal(joined(chunks), expected(TEXT)) for chunks in heard)
    assert [speech.finish_reason for speech in stopped] == [None] * 4
    for speech in stopped:
        speech.cancel()


# Failing


@pytest.mark.parametrize(
    "fault", [Fault.PREFILL_RAISES, Fault.DECODE_RAISES, Fault.WINDOW_RAISES, Fault.NAN_AUDIO]
)
async def test_a_failure_surfaces_at_its_reader_and_at_no_other(start: OpenEngine, fault: Fault) -> None:
    engine = start(FakeModel({"Spoilt.": fault}))
    good, bad = engine.speak(TEXT), engine.speak("Spoilt.")
    with pytest.raises(SpeechFailed):
        await chunks_of(bad)
    assert bad.finish_reason is FinishReason.FAILED
    assert np.array_equal(joined(await chunks_of(good)), expected(TEXT))


async def test_audio_before_a_failure_is_heard(start: OpenEngine) -> None:
    speech = start(FakeModel({"Spoilt.": Fault.WINDOW_RAISES})).speak("Hello there. Spoilt.")
    heard: list[AudioChunk] = []

    async def listen() -> None:
        async for chunk in speech:
            heard.append(chunk)  # noqa: PERF401, what comes before the error counts

    with pytest.raises(SpeechFailed, match=r"RuntimeError: WINDOW_RAISES for Spoilt\."):
        await listen()
    assert np.array_equal(joined(heard), expected("Hello there."))


def test_a_reader_whose_loop_is_closed_stops_nobody(start: OpenEngine) -> None:
    engine = start()

    async def leave() -> Speech:
        return engine.speak(TEXT)

    async def stay() -> list[AudioChunk]:
        return await chunks_of(engine.speak(TEXT))

    left = asyncio.run(leave())
    assert np.array_equal(joined(asyncio.run(stay())), expected(TEXT))
    left.cancel()


# Closing


async def test_closing_ends_utterances_under_way_with_engine_closed(start: OpenEngine) -> None:
    engine = start()
    speeches = [engine.open(SpeechRequest()) for _ in range(3)]
    readers = [asyncio.create_task(chunks_of(speech)) for speech in speeches]
    await asyncio.sleep(0)
    await asyncio.to_thread(engine.close)
    answers = await asyncio.gather(*readers, return_exceptions=True)
    assert [type(answer) for answer in answers] == [EngineClosed] * 3
    assert [speech.finish_reason for speech in speeches] == [FinishReason.CANCELLED] * 3
    assert (engine.alive, engine.in_use) == (False, 0)


async def test_a_closed_engine_refuses(start: OpenEngine) -> None:
    engine = start()
    assert engine.alive
    engine.close()
    engine.close()
    with pytest.raises(EngineClosed):
        engine.open(SpeechRequest())


async def test_text_for_a_closed_engine_is_no_error_until_it_is_read(start: OpenEngine) -> None:
    engine = start()
    speech = engine.open(SpeechRequest())
    engine.close()
    speech.push(TEXT)
    speech.finish()
    speech.cancel()
    with pytest.raises(EngineClosed):
        await chunks_of(speech)


async def test_a_thread_that_does_not_stop_in_time_is_logged(
    start: OpenEngine, caplog: pytest.LogCaptureFixture
) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def before_step(kind: StepKind) -> None:
        reached.set()
        assert go_on.wait(10)

    engine = start(FakeModel(before_step=before_step))
    speech = engine.speak(TEXT)
    assert await asyncio.to_thread(reached.wait, 10)
    with caplog.at_level(logging.ERROR):
        engine.close(timeout_s=0.01)
    assert caplog.messages == ["engine thread did not stop"]
    go_on.set()
    engine.close()
    with pytest.raises(EngineClosed):
        await chunks_of(speech)


class DyingModel(FakeModel):
    def stop(self, slot: int, state: Any) -> None:
        raise RuntimeError("stop must not raise")


async def test_a_dying_thread_leaves_no_reader_waiting(start: OpenEngine) -> None:
    engine = start(DyingModel())
    speech, other = engine.speak("Hello there. And more."), engine.open(SpeechRequest())
    for each in (speech, other):
        with pytest.raises(EngineClosed):
            await chunks_of(each)
    with pytest.raises(EngineClosed):
        engine.open(SpeechRequest())
