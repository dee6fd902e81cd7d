"""One call: text in, its utterances spoken in order down one line."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from engines import EngineError, FinishReason, Speech, SpeechEngine, SpeechRequest
from server.line import Line
from server.messages import Cleared, Error, MarkReached, ServerMessage, UtteranceEnded, UtteranceStarted
from server.metrics import Metrics, UtteranceMeter
from server.utterance import CallUtterance
from telephony import playout
from telephony.encoder import LineEncoder
from telephony.format import AudioFormat

log = logging.getLogger("talkspurt.call")

MAX_WAITING_UTTERANCES = 100
MAX_WAITING_MARKS = 500
_KEPT_SENT_UTTERANCES = 32
"""Of a fast line: what the client may still be playing, and clear with a position in it."""


class CallState(str, Enum):
    """What a call is doing."""

    IDLE = "idle"
    SPEAKING = "speaking"
    DRAINING = "draining"
    CLOSED = "closed"


class CallRefused(ValueError):
    """The call cannot hold what was asked of it; none of it was taken, and the call goes on."""

    def __init__(self, code: str, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.code = code
        self.field = field


@dataclass(frozen=True, slots=True)
class CallSetup:
    """What a call is: who it is, how it speaks, and what its line carries."""

    call_id: str
    protocol: str  # websocket, rtp
    request: SpeechRequest
    audio_format: AudioFormat
    paced: bool
    max_text_chars: int


class Call:
    """Speaks on one line and tells ``notify`` what happens. Lives on one event loop.

    One utterance is with the engine at a time, beside at most one cancelled that it has not let go; those
    behind it wait as text. Leave it by :meth:`close`.
    """

    def __init__(
        self,
        setup: CallSetup,
        engine: SpeechEngine,
        encoder: LineEncoder,
        metrics: Metrics,
        notify: Callable[[ServerMessage], None],
    ) -> None:
        self.setup = setup
        self._engine = engine
        self._encoder = encoder
        self._metrics = metrics
        self._notify = notify
        self._line: Line | None = None
        self._utterances: dict[int, CallUtterance] = {}  # in order; a paced line's leave it when played
        self._count = 0
        self._turn = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._pump: asyncio.Task[None] | None = None
        self._leaving: list[Speech] = []  # the one with the engine, and those it has not let go
        self._draining = self._closed = False
        self._underrun_frames = 0
        self._waiting_marks = 0
        self._last_frames = 0  # of the utterance handed on last

    def start(self, line: Line) -> None:
        """Begin to serve on ``line``, whose events come to :meth:`on_line_event`."""
        self._line = line
        self._pump = asyncio.create_task(self._serve())
        log.info("call started", extra={"call_id": self.setup.call_id, "protocol": self.setup.protocol})

    @property
    def state(self) -> CallState:
        if self._closed:
            return CallState.CLOSED
        if self._draining:
            return CallState.DRAINING
        return CallState.IDLE if self._quiet.is_set() else CallState.SPEAKING

    @property
    def utterances(self) -> int:
        """How many have been begun."""
        return self._count

    # What the caller's side asks for

    def text(self, delta: str) -> None:
        """More text of the open utterance, or of a new one. Raises CallRefused."""
        if self._draining:
            raise CallRefused("unexpected", "text", "the call is closing")
        current = self._open_utterance()
        held = current.spoken.chars if current else 0
        if held + len(delta) > self.setup.max_text_chars:
            limit = self.setup.max_text_chars
            message = f"{held + len(delta)} characters are more than the limit of {limit}"
            raise CallRefused("text_too_long", "text", message)
        if current is None:
            current = self._begin_utterance()
        current.add_text(delta)

    def flush(self) -> None:
        """The open utterance's text is complete; without one, nothing."""
        if current := self._open_utterance():
            current.end_text()

    def mark(self, name: str) -> None:
        """Report when all text so far has been played. Raises CallRefused."""
        if self._waiting_marks >= MAX_WAITING_MARKS:
            raise CallRefused("too_many", "name", f"{MAX_WAITING_MARKS} marks are waiting already")
        self._waiting_marks += 1
        unspoken = [each for each in self._utterances.values() if not each.handed_on]
        if unspoken:
            unspoken[-1].add_mark(name)
        else:
            self._mark_on_line(self._count, self._last_frames, name)

    def clear(self, utterance: int | None = None, played_ms: float | None = None) -> Cleared:
        """Barge-in: drop all that was not played. On a fast line the caller says what was.

        Marks that will not be played are reported as cleared before this returns.
        """
        assert self._line is not None, "the call has started"
        assert self._pump is not None, "the call has started"
        self._pump.cancel()
        heard = self._line.clear()
        self._encoder.clear()
        if heard.utterance_id is not None and played_ms is None:
            utterance, played_ms = int(heard.utterance_id), heard.played_ms
        cleared = self._cleared(utterance, played_ms or 0.0)
        for line_mark in heard.marks:
            self._notify_mark(line_mark, "cleared")
        for each in self._utterances.values():
            for frame, name in each.take_marks():
                self._notify_mark(_line_mark(each.number, frame, name), "cleared")
        self._utterances.clear()
        self._quiet.set()
        self._pump = asyncio.create_task(self._serve())
        log.info("call cleared", extra={"call_id": self.setup.call_id, "played_ms": cleared.played_ms})
        return cleared

    def finish(self) -> None:
        """Take the text so far as complete: no more follows."""
        self._draining = True
        self.flush()

    async def drain(self) -> None:
        """Finish, and return once all of it has been played."""
        self.finish()
        await self._quiet.wait()

    async def close(self) -> None:
        """Stop at once, whatever is under way. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
        if self._line is not None:
            await self._line.close()
        extra = {"call_id": self.setup.call_id, "utterances": self._count}
        log.info("call ended", extra=extra)

    # What the line reports

    def on_line_event(self, event: playout.PlayoutEvent) -> None:
        """Pass on what the line played."""
        if isinstance(event, playout.MarkPlayed):
            self._notify_mark(event.name, "played" if self.setup.paced else "sent")
        elif isinstance(event, playout.UtteranceStarted):
            self._on_started(self._utterances[int(event.utterance_id)])
        elif isinstance(event, playout.UtteranceEnded):
            self._on_ended(self._utterances[int(event.utterance_id)], event.played_frames)
        else:
            self._metrics.underrun_total.inc()
            log.warning("underrun", extra={"call_id": self.setup.call_id, "utterance": event.utterance_id})

    def _on_started(self, utterance: CallUtterance) -> None:
        meter = utterance.meter
        if meter is None or not meter.heard:  # nothing to speak, or it failed before its first audio
            return
        meter.handed_on()
        extra = {"call_id": self.setup.call_id, "ttfa_ms": round(meter.ttfa_ms, 1)}
        log.info("first audio", extra={**extra, "utterance": utterance.number})
        self._notify(
            UtteranceStarted(
                utterance=utterance.number,
                ttfa_ms=round(meter.ttfa_ms, 3),
                engine_ms=round(meter.engine_ms, 3),
            )
        )

    def _on_ended(self, utterance: CallUtterance, played_frames: int) -> None:
        played_ms = played_frames * self.setup.audio_format.ptime_ms
        self._count_underruns()
        utterance.ended = True
        if self.setup.paced:
            del self._utterances[utterance.number]
        else:
            self._forget_sent()
        if all(each.ended for each in self._utterances.values()):
            self._quiet.set()
        reason = utterance.reason.value
        self._notify(UtteranceEnded(utterance=utterance.number, played_ms=played_ms, reason=reason))

    # The pump: one utterance after the other, from the engine to the line

    async def _serve(self) -> None:
        try:
            await self._speak_in_turn()
        except Exception:  # the task's outermost line: a bug of ours ends this call and no other
            log.exception("call failed", extra={"call_id": self.setup.call_id})
            self._notify(Error(code="internal", message="the call failed", fatal=True))

    async def _speak_in_turn(self) -> None:
        while True:
            waiting = [each for each in self._utterances.values() if not each.handed_on]
            if waiting:
                await self._speak(waiting[0])
            else:
                self._turn.clear()
                await self._turn.wait()

    async def _speak(self, utterance: CallUtterance) -> None:
        assert self._line is not None, "the call has started"
        try:
            await self._synthesize(utterance, self._line)
        except EngineError as error:
            utterance.reason = FinishReason.FAILED
            log.error("speech failed", extra={"call_id": self.setup.call_id, "error": str(error)})
            self._notify(Error(code="speech_failed", message=str(error)))
        self._hand_on(utterance, self._encoder.flush())
        utterance.handed_on = True
        self._last_frames = utterance.frames
        for frame, name in utterance.take_marks():
            self._mark_on_line(utterance.number, frame, name)
        self._line.finish(utterance.line_id)

    async def _synthesize(self, utterance: CallUtterance, line: Line) -> None:
        await self._let_go()
        opened_ns = time.monotonic_ns()
        async with self._engine.open(self.setup.request) as speech:
            self._leaving.append(speech)
            meter = UtteranceMeter(self._metrics, self.setup.protocol, utterance.asked_ns, opened_ns)
            utterance.begin(speech, meter)
            try:
                async for chunk in speech:
                    meter.chunk(chunk)
                    utterance.take_chunk(chunk)
                    self._hand_on(utterance, self._encoder.push(chunk.samples))
                    await line.room()
            finally:
                meter.ended(speech.finish_reason)

    async def _let_go(self) -> None:
        """One cancelled while a step runs stays with the engine until that step is done.

        The next one need not wait for that, but for those before it: or a caller who clears again and
        again would fill the engine.
        """
        self._leaving = [each for each in self._leaving if each.finish_reason is None]
        for speech in self._leaving[:-1]:
            with contextlib.suppress(EngineError):
                async for _ in speech:
                    pass

    def _hand_on(self, utterance: CallUtterance, payloads: list[bytes]) -> None:
        assert self._line is not None, "the call has started"
        for run, marks in utterance.cut_at_marks(payloads):
            self._line.push(run, utterance.line_id)
            for frame, name in marks:
                self._mark_on_line(utterance.number, frame, name)

    # Small acts

    def _open_utterance(self) -> CallUtterance | None:
        current = self._utterances.get(self._count)
        return current if current is not None and not current.text_ended else None

    def _begin_utterance(self) -> CallUtterance:
        waiting = sum(not each.ended for each in self._utterances.values())
        if waiting >= MAX_WAITING_UTTERANCES:
            raise CallRefused("too_many", "text", f"{waiting} utterances are waiting already")
        self._count += 1
        delay = self._encoder.delay_samples
        current = CallUtterance(self._count, time.monotonic_ns(), self.setup.audio_format, delay)
        self._utterances[self._count] = current
        self._quiet.clear()
        self._turn.set()
        return current

    def _mark_on_line(self, number: int, frame: int, name: str) -> None:
        assert self._line is not None, "the call has started"
        self._line.mark(_line_mark(number, frame, name))

    def _notify_mark(self, line_mark: str, state: str) -> None:
        self._waiting_marks -= 1
        number, frame, name = line_mark.split(":", 2)
        played_ms = int(frame) * self.setup.audio_format.ptime_ms
        self._notify(
            MarkReached.model_validate(
                {"name": name, "utterance": int(number), "state": state, "played_ms": played_ms}
            )
        )

    def _cleared(self, number: int | None, played_ms: float) -> Cleared:
        """The answer to clear: the texts of the utterance being played and of those behind it, split."""
        heard = [each for each in self._utterances.values() if number is None or each.number >= number]
        if number is None:
            heard = [each for each in heard if not each.ended]
        if not heard:
            return Cleared(utterance=number, played_ms=round(played_ms), text_spoken="", text_not_spoken="")
        spoken, rest = heard[0].split_text(played_ms)
        later = "".join(each.spoken.text for each in heard[1:])
        return Cleared(
            utterance=heard[0].number,
            played_ms=round(played_ms),
            text_spoken=spoken,
            text_not_spoken=rest + later,
        )

    def _count_underruns(self) -> None:
        assert self._line is not None, "the call has started"
        frames = self._line.underrun_frames - self._underrun_frames
        self._underrun_frames += frames
        self._metrics.underrun_seconds_total.inc(frames * self.setup.audio_format.ptime_ms / 1000)

    def _forget_sent(self) -> None:
        sent = [each.number for each in self._utterances.values() if each.ended]
        for number in sent[:-_KEPT_SENT_UTTERANCES]:
            del self._utterances[number]


def _line_mark(number: int, frame: int, name: str) -> str:
    """A mark's name on the line: it carries home the utterance and the frame it belongs to."""
    return f"{number}:{frame}:{name}"
