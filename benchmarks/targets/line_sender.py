"""The sending process of `bench line`: so many paced calls on one ticker, playing audio that is ready.

`python -m benchmarks.targets.line_sender CALLS PORT SECONDS` writes one JSON object when it is done.
Calls open one after the other and speak at once; the measured window begins when all of them do.
"""

import asyncio
import gc
import json
import resource
import sys
import time
from dataclasses import asdict, dataclass

import numpy as np

from benchmarks.targets.line_receiver import say
from benchmarks.targets.loop import run_on_loop
from telephony.format import TELEPHONE
from telephony.g711 import encode_mulaw
from telephony.net.clock import Ticker
from telephony.net.udp import CallOptions, RtpCall
from telephony.playout import PlayoutEvent, UtteranceStarted

_SETTLE_S = 1.0
_TONE_HZ = 400  # a whole number of periods in a frame: every frame is the same


@dataclass(frozen=True, slots=True)
class LineWork:
    """What the sender knows of its own part."""

    starts: list[tuple[int, int]]
    """(SSRC, deadline of the first frame of speech) of each call."""
    from_ns: int
    to_ns: int
    cpu_s: float
    underruns: int
    dropped: int
    """By the sender's own socket buffers."""
    skipped: int
    """Frames that the ticker left out because it came too late for them."""
    ticker_late_p99_ms: float
    loop: str


async def play(count: int, port: int, seconds: float) -> LineWork:
    """Open the calls, let them speak, measure for `seconds`, hang up."""
    ticker = Ticker()
    starts: list[tuple[int, int]] = []
    calls = [await _open_call(ticker, port, starts) for _ in range(count)]
    gc.freeze()
    await asyncio.sleep(_SETTLE_S)
    before = _counts(calls)
    from_ns, cpu_s = time.monotonic_ns(), time.process_time()
    await asyncio.sleep(seconds)
    to_ns, cpu_s = time.monotonic_ns(), time.process_time() - cpu_s
    underruns, dropped, skipped = (late - early for early, late in zip(before, _counts(calls), strict=True))
    late_p99_ms = ticker.stats.late_p99_ns / 1e6
    for call in calls:
        await call.close()
    loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    return LineWork(starts, from_ns, to_ns, cpu_s, underruns, dropped, skipped, late_p99_ms, loop)


async def _open_call(ticker: Ticker, port: int, starts: list[tuple[int, int]]) -> RtpCall:
    on_event = _StartNote(starts)
    options = CallOptions(local_host="127.0.0.1")
    call = await RtpCall.open(ticker, ("127.0.0.1", port), TELEPHONE, options, on_event=on_event)
    on_event.ssrc = call.ssrc
    call.push([_ready_frame()] * call.room_frames, "ready")
    return call


class _StartNote:
    """Notes the deadline that a call's first frame of speech was due at."""

    def __init__(self, starts: list[tuple[int, int]]) -> None:
        self.ssrc = 0
        self._starts = starts

    def __call__(self, event: PlayoutEvent) -> None:
        if isinstance(event, UtteranceStarted):
            self._starts.append((self.ssrc, event.at_ns))


def _ready_frame() -> bytes:
    phase = np.arange(TELEPHONE.frame_samples) * (2 * np.pi * _TONE_HZ / TELEPHONE.rate_hz)
    return encode_mulaw((8000 * np.sin(phase)).astype(np.int16)).tobytes()


def _counts(calls: list[RtpCall]) -> tuple[int, int, int]:
    stats = [call.stats for call in calls]
    return (
        sum(each.underruns for each in stats),
        sum(each.dropped_packets + each.refused_packets + each.failed_packets for each in stats),
        sum(each.skipped_frames for each in stats),
    )


def _allow_many_sockets() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main(count: int, port: int, seconds: float) -> None:
    _allow_many_sockets()
    say(json.dumps(asdict(run_on_loop(play(count, port, seconds)))))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
