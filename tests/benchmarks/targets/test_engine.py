import pytest

from benchmarks.errors import TargetMissing
from benchmarks.record import Outcome
from benchmarks.targets.engine import EngineTarget
from telephony.format import AudioFormat
from tests.benchmarks.targets.requesting import request

ENGINE_FORMAT = AudioFormat.of("pcm16", 24_000)


async def test_the_preview_engine_speaks() -> None:
    record = await request(EngineTarget("preview", "balanced", "default"), "Hello.", ENGINE_FORMAT)
    assert (record.outcome, record.reason) == (Outcome.COMPLETED, "")
    assert record.first_audible_sample is not None
    assert record.deliveries.end_sample > 24_000 // 4


async def test_the_engine_describes_its_configuration() -> None:
    described = await EngineTarget("preview", "latency", "default").describe()
    assert described["engine"] == "preview"
    assert len(described["config_digest"]) == 12


async def test_an_unknown_voice_fails_the_request() -> None:
    record = await request(EngineTarget("preview", "balanced", "nobody"), "Hello.", ENGINE_FORMAT)
    assert record.outcome is Outcome.FAILED
    assert "nobody" in record.reason


async def test_an_unknown_backend_is_no_target() -> None:
    with pytest.raises(TargetMissing, match="'nothing' is unknown"):
        await EngineTarget("nothing", "balanced", "default").open()


def test_an_unknown_profile_is_no_target() -> None:
    with pytest.raises(TargetMissing, match="profile"):
        EngineTarget("preview", "nothing", "default")
