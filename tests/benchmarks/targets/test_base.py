import pytest

from benchmarks.errors import RemoteTarget
from benchmarks.record import Outcome
from benchmarks.targets.base import MAX_REASON_CHARS, failed, require_loopback


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000",
        "http://127.8.9.1",
        "http://localhost:1",
        "http://[::1]:8000",
        "http://LOCALHOST",
    ],
)
def test_this_machine_may_be_loaded(url: str) -> None:
    assert require_loopback(url + "/", allow_remote=False) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://192.168.1.5:8000",
        "http://example.com",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://127.0.0.1@example.com/",
        "http://0.0.0.0:8000",
        "http://[2001:db8::1]",
        "http://2130706433",
        "example.com",
        "",
    ],
)
def test_no_other_machine_is_loaded_unless_that_is_allowed(url: str) -> None:
    with pytest.raises(RemoteTarget, match="--allow-remote"):
        require_loopback(url, allow_remote=False)
    assert require_loopback(url, allow_remote=True) == url.rstrip("/")


def test_a_reason_is_kept_short() -> None:
    verdict = failed("x" * 10_000)
    assert (verdict.outcome, len(verdict.reason)) == (Outcome.FAILED, MAX_REASON_CHARS)
