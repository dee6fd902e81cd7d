import pytest

from benchmarks.metrics import leading_silence_ms, overhead_ms, setup_ms
from benchmarks.record import Outcome
from benchmarks.targets.websocket import WebSocketTarget
from telephony.format import TELEPHONE, AudioFormat
from tests.benchmarks.targets.requesting import request
from tests.fakes.speech_stream import LEADING_SILENCE_MS, FakeSpeechStream, StreamManner


def make_target(url: str, audio_format: AudioFormat = TELEPHONE) -> WebSocketTarget:
    return WebSocketTarget(url, audio_format, "default", "realtime")


@pytest.mark.parametrize("audio_format", [TELEPHONE, AudioFormat.of("pcm16", 16_000)])
async def test_a_spoken_utterance_is_completed(audio_format: AudioFormat) -> None:
    async with FakeSpeechStream() as server:
        record = await request(make_target(server.url, audio_format), audio_format=audio_format)
    assert (record.outcome, record.reason) == (Outcome.COMPLETED, "")
    assert len(record.deliveries.at_ns) == 5
    assert leading_silence_ms(record, 0) == [LEADING_SILENCE_MS]


async def test_the_call_is_set_up_before_the_text_is_dispatched() -> None:
    async with FakeSpeechStream() as server:
        record = await request(make_target(server.url))
    assert record.admitted_ns is not None
    assert record.dispatched_ns is not None
    assert record.admitted_ns < record.dispatched_ns
    assert setup_ms(record, 0)[0] > 0


async def test_the_conversation_is_that_of_the_protocol() -> None:
    async with FakeSpeechStream() as server:
        await request(make_target(server.url), "Say this.")
    assert server.received == [
        {
            "type": "start",
            "voice": "default",
            "encoding": "mulaw",
            "sample_rate": 8000,
            "pacing": "realtime",
        },
        {"type": "text", "text": "Say this."},
        {"type": "flush"},
        {"type": "close"},
    ]


async def test_the_servers_own_time_is_taken_down() -> None:
    async with FakeSpeechStream() as server:
        record = await request(make_target(server.url))
    assert record.engine_ms == 6.5
    assert record.first_speech_ns is not None
    assert record.dispatched_ns is not None
    assert overhead_ms(record, 0) == [(record.first_speech_ns - record.dispatched_ns) / 1e6 - 6.5]


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        (StreamManner.REFUSE, "full"),
        (StreamManner.REFUSE_UPGRADE, "503"),
        (StreamManner.FULL_WITHOUT_WORD, "1013"),
    ],
)
async def test_a_full_server_has_refused_and_not_failed(manner: StreamManner, reason: str) -> None:
    async with FakeSpeechStream(manner) as server:
        record = await request(make_target(server.url))
    assert (record.outcome, record.reason) == (Outcome.REFUSED, reason)
    assert record.dispatched_ns is None


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        (StreamManner.FORBID_UPGRADE, "handshake: 403"),
        (StreamManner.FAIL_UTTERANCE, "utterance ended as 'failed'"),
        (StreamManner.ERROR_IN_MIDDLE, "speech_failed"),
        (StreamManner.DROP_IN_MIDDLE, "connection lost"),
        (StreamManner.CLOSE_IN_MIDDLE, "closed"),
        (StreamManner.NOT_JSON, "not JSON"),
        (StreamManner.UNREADY, "'cleared' came instead of 'ready'"),
        (StreamManner.MUTE, "no audio"),
    ],
)
async def test_what_is_not_a_whole_utterance_has_failed(manner: StreamManner, reason: str) -> None:
    async with FakeSpeechStream(manner) as server:
        record = await request(make_target(server.url))
    assert record.outcome is Outcome.FAILED
    assert reason in record.reason


async def test_where_nobody_listens_the_request_fails() -> None:
    record = await request(make_target("http://127.0.0.1:9"))
    assert record.outcome is Outcome.FAILED
    assert "OSError" in record.reason or "ConnectionRefused" in record.reason


async def test_the_server_describes_itself() -> None:
    async with FakeSpeechStream() as server:
        assert await make_target(server.url).describe() == {"ready": True}
