import pytest

from benchmarks.errors import TargetMissing
from benchmarks.metrics import leading_silence_ms
from benchmarks.record import Outcome
from benchmarks.targets.http import HttpTarget
from telephony.format import TELEPHONE, AudioFormat
from tests.benchmarks.targets.requesting import request
from tests.fakes.speech_http import LEADING_SILENCE_MS, FakeSpeechHttp, Manner


def make_target(url: str, audio_format: AudioFormat = TELEPHONE, timeout_s: float = 5.0) -> HttpTarget:
    return HttpTarget(url, audio_format, "default", timeout_s)


@pytest.mark.parametrize("audio_format", [TELEPHONE, AudioFormat.of("alaw"), AudioFormat.of("pcm16", 16_000)])
async def test_a_spoken_answer_is_completed(audio_format: AudioFormat) -> None:
    async with FakeSpeechHttp() as server:
        record = await request(make_target(server.url, audio_format), audio_format=audio_format)
    assert (record.outcome, record.reason) == (Outcome.COMPLETED, "")
    assert record.received_bytes == audio_format.payload_bytes * 5
    assert record.deliveries.end_sample == audio_format.frame_samples * 5
    assert leading_silence_ms(record, 0) == [LEADING_SILENCE_MS]


async def test_instants_are_in_the_order_of_events() -> None:
    async with FakeSpeechHttp(Manner.SLOW) as server:
        record = await request(make_target(server.url))
    instants = [record.dispatched_ns, record.admitted_ns, record.first_byte_ns, record.finished_ns]
    assert all(instants)
    assert instants == sorted(instants, key=lambda each: each or 0)
    assert len(record.deliveries.at_ns) == 2
    assert record.deliveries.at_ns[1] - record.deliveries.at_ns[0] > 40_000_000


async def test_the_request_names_the_telephone_format() -> None:
    async with FakeSpeechHttp() as server:
        await request(make_target(server.url), "Say this.")
    assert server.asked == [
        {
            "model": "tts-1",
            "input": "Say this.",
            "voice": "default",
            "response_format": "pcm",
            "encoding": "mulaw",
            "sample_rate": 8000,
        }
    ]


async def test_24_khz_pcm_is_asked_for_as_any_server_of_the_contract_knows_it() -> None:
    audio_format = AudioFormat.of("pcm16", 24_000)
    async with FakeSpeechHttp() as server:
        await request(make_target(server.url, audio_format), audio_format=audio_format)
    assert set(server.asked[0]) == {"model", "input", "voice", "response_format"}


async def test_a_full_server_has_refused_and_not_failed() -> None:
    async with FakeSpeechHttp(Manner.REFUSE) as server:
        record = await request(make_target(server.url))
    assert (record.outcome, record.reason) == (Outcome.REFUSED, "503 full")
    assert record.admitted_ns is None


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        (Manner.FAIL, "500 speech_failed"),
        (Manner.CUT, "RemoteProtocolError"),
        (Manner.EMPTY, "no audio"),
        (Manner.GARBAGE, "RemoteProtocolError"),
        (Manner.JSON_INSTEAD, "is not audio"),
        (Manner.HANG, "ReadTimeout"),
    ],
)
async def test_what_is_not_whole_audio_has_failed(manner: Manner, reason: str) -> None:
    async with FakeSpeechHttp(manner) as server:
        record = await request(make_target(server.url, timeout_s=0.3))
    assert record.outcome is Outcome.FAILED
    assert reason in record.reason


async def test_what_came_before_a_cut_is_kept() -> None:
    async with FakeSpeechHttp(Manner.CUT) as server:
        record = await request(make_target(server.url))
    assert record.received_bytes == server.piece_bytes


async def test_an_endless_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.targets.http.MAX_AUDIO_BYTES", 500)
    async with FakeSpeechHttp() as server:
        record = await request(make_target(server.url))
    assert (record.outcome, record.reason) == (Outcome.FAILED, "more than 500 bytes of audio")


async def test_the_server_describes_itself() -> None:
    async with FakeSpeechHttp() as server:
        target = make_target(server.url)
        await target.open()
        assert await target.describe() == {"ready": True, "config": "c0ffee"}
        await target.close()


async def test_where_nobody_listens_there_is_no_target() -> None:
    target = make_target("http://127.0.0.1:9")
    await target.open()
    with pytest.raises(TargetMissing, match="nothing answers"):
        await target.describe()
    await target.close()


async def test_no_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with FakeSpeechHttp() as server:
        assert (await request(make_target(server.url))).outcome is Outcome.COMPLETED
