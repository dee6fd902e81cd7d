"""Where a call's frames go: a paced line on the clock, or a fast one as quick as synthesis."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from engines import SpeechEngine
from engines.rates import SAMPLE_RATE_HZ
from telephony.encoder import LineEncoder
from telephony.format import AudioFormat
from telephony.level import TARGET_DBOV
from telephony.net.clock import Ticker
from telephony.net.udp import RtpCall
from telephony.playout import (
    Cleared,
    MarkPlayed,
    Playout,
    PlayoutEvent,
    PlayoutState,
    UtteranceEnded,
    UtteranceStarted,
)

MAX_LEAD_MS = 500
"""What a paced line holds before it is left alone. Little, for barge-in throws it away, and so that calls are
encoded as they play: a burst of encoding for one would delay the first audio of another."""


class Line(Protocol):
    """What a call needs of its line. Frames are encoded payloads; an utterance ends by finish."""

    @property
    def underrun_frames(self) -> int: ...

    def push(self, payloads: Sequence[bytes], utterance_id: str) -> None: ...

    def mark(self, name: str) -> None: ...

    def finish(self, utterance_id: str) -> None: ...

    def clear(self) -> Cleared: ...

    async def room(self) -> None:
        """Return once more frames are wanted."""
        ...

    async def close(self) -> None: ...


def open_encoder(
    engine: SpeechEngine, audio_format: AudioFormat, voice: str, target_dbov: float = TARGET_DBOV
) -> LineEncoder:
    """A telephone line gets a telephone's level; wideband audio goes out as the voice made it.

    Raises InvalidRequest for an unknown voice.
    """
    nominal_dbov = engine.require_voice(voice).nominal_dbov
    if audio_format.rate_hz == SAMPLE_RATE_HZ:
        return LineEncoder(audio_format, level=False)
    return LineEncoder(audio_format, nominal_dbov, target_dbov)


async def wait_for_lead(lead_frames: Callable[[], int], ptime_ms: int) -> None:
    """Sleep until no more than MAX_LEAD_MS are queued; a line plays one frame a ptime."""
    while (excess_frames := lead_frames() - MAX_LEAD_MS // ptime_ms) > 0:  # noqa: ASYNC110 - as long as it takes
        await asyncio.sleep(excess_frames * ptime_ms / 1000)


class AudioSink(Protocol):
    """Where a line's bytes leave: a connection's outbox."""

    def send_frames(self, audio: bytes, frames: int) -> None: ...

    def drop_audio(self) -> int:
        """Forget audio not yet on its way; returns the frames dropped."""
        ...

    async def room(self) -> None: ...


class PacedLine:
    """One message a frame, on the shared ticker: for a client that plays what comes as it comes."""

    def __init__(
        self,
        audio_format: AudioFormat,
        ticker: Ticker,
        sink: AudioSink,
        notify: Callable[[PlayoutEvent], None],
        silence: bool,
    ) -> None:
        self._playout = Playout(audio_format)
        self._ticker = ticker
        self._sink = sink
        self._notify = notify
        self._silence = silence
        self._ticking = silence
        if silence:
            ticker.subscribe(self)

    @property
    def underrun_frames(self) -> int:
        return self._playout.underrun_frames

    def push(self, payloads: Sequence[bytes], utterance_id: str) -> None:
        self._playout.push(payloads, utterance_id)
        if self._playout.lead_frames:
            self._join()

    def mark(self, name: str) -> None:
        self._playout.mark(name)
        self._join()

    def finish(self, utterance_id: str) -> None:
        self._playout.finish(utterance_id)
        self._join()

    def clear(self) -> Cleared:
        # Frames that the connection has not taken were ticked but never left: they were not played.
        unsent_frames = self._sink.drop_audio()
        cleared = self._playout.clear()
        played_frames = max(0, cleared.played_frames - unsent_frames)
        played_ms = played_frames * self._playout.format.ptime_ms
        dropped_frames = cleared.dropped_frames + unsent_frames
        return replace(
            cleared, played_frames=played_frames, played_ms=played_ms, dropped_frames=dropped_frames
        )

    async def room(self) -> None:
        await wait_for_lead(lambda: self._playout.lead_frames, self._playout.format.ptime_ms)

    def tick(self, now_ns: int) -> None:
        tick = self._playout.tick(now_ns)
        # A start is told before its frame, whatever this frame ends after it.
        starting = [event for event in tick.events if isinstance(event, UtteranceStarted)]
        following = [event for event in tick.events if not isinstance(event, UtteranceStarted)]
        for start in starting:
            self._notify(start)
        if tick.speech or self._silence:
            self._sink.send_frames(tick.payload, 1)
        for event in following:
            self._notify(event)
        if not self._silence and self._playout.state is PlayoutState.IDLE:
            self._leave()

    def _join(self) -> None:
        """A line silent between utterances takes the next instant there is, not one of a fixed grid."""
        if not self._ticking:
            self._ticking = True
            self._ticker.subscribe(self, soon=True)

    def _leave(self) -> None:
        self._ticking = False
        self._ticker.unsubscribe(self)

    async def close(self) -> None:
        self._leave()
        self._playout.close()


class RtpLine:
    """A call on the wire: telephony's RtpCall, played by the shared ticker."""

    def __init__(self, call: RtpCall) -> None:
        self._call = call

    @property
    def underrun_frames(self) -> int:
        return self._call.playout.underrun_frames

    def push(self, payloads: Sequence[bytes], utterance_id: str) -> None:
        self._call.push(payloads, utterance_id)

    def mark(self, name: str) -> None:
        self._call.mark(name)

    def finish(self, utterance_id: str) -> None:
        self._call.finish(utterance_id)

    def clear(self) -> Cleared:
        return self._call.clear()

    async def room(self) -> None:
        await wait_for_lead(lambda: self._call.lead_frames, self._call.playout.format.ptime_ms)

    async def close(self) -> None:
        await self._call.close()


class FastLine:
    """Frames go out as they come. What was played is not known here: what was sent counts."""

    def __init__(
        self, audio_format: AudioFormat, sink: "AudioSink", notify: Callable[[PlayoutEvent], None]
    ) -> None:
        self._format = audio_format
        self._sink = sink
        self._notify = notify
        self._open_id: str | None = None
        self._sent_frames = 0
        self.underrun_frames = 0

    def push(self, payloads: Sequence[bytes], utterance_id: str) -> None:
        if not payloads:
            return
        self._open(utterance_id)
        self._sent_frames += len(payloads)
        self._sink.send_frames(b"".join(payloads), len(payloads))

    def mark(self, name: str) -> None:
        self._notify(MarkPlayed(name, time.monotonic_ns()))

    def finish(self, utterance_id: str) -> None:
        self._open(utterance_id)
        self._open_id = None
        self._notify(UtteranceEnded(utterance_id, time.monotonic_ns(), self._sent_frames))

    def clear(self) -> Cleared:
        dropped = self._sink.drop_audio()
        played_frames = max(0, self._sent_frames - dropped) if self._open_id is not None else 0
        cleared = Cleared(self._open_id, played_frames, played_frames * self._format.ptime_ms, dropped)
        self._open_id = None
        return cleared

    async def room(self) -> None:
        await self._sink.room()

    async def close(self) -> None:
        """Nothing is held here."""

    def _open(self, utterance_id: str) -> None:
        if self._open_id != utterance_id:
            self._open_id, self._sent_frames = utterance_id, 0
            self._notify(UtteranceStarted(utterance_id, time.monotonic_ns()))
