"""The record of one utterance of a call, and where its marks fall among its frames. No I/O."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from engines import AudioChunk, FinishReason, Speech
from server.metrics import UtteranceMeter
from server.spoken import SpokenText
from telephony.format import SOURCE_RATE_HZ, AudioFormat


@dataclass(slots=True)
class CallUtterance:
    """From its first text until it has been played or cleared."""

    number: int
    asked_ns: int
    audio_format: AudioFormat
    encoder_delay_samples: int
    spoken: SpokenText = field(default_factory=SpokenText)
    text_ended: bool = False
    speech: Speech | None = None  # None: its turn has not come
    meter: UtteranceMeter | None = None
    handed_on: bool = False  # every frame of it has gone to the line
    ended: bool = False
    reason: FinishReason = FinishReason.COMPLETED
    frames: int = 0  # handed to the line so far
    _marks_by_text: list[tuple[int, str]] = field(default_factory=list)  # characters before it
    _marks_by_frame: deque[tuple[int, str]] = field(default_factory=deque)

    @property
    def line_id(self) -> str:
        return str(self.number)

    def add_text(self, delta: str) -> None:
        self.spoken.add_text(delta)
        if self.speech is not None:
            self.speech.push(delta)

    def end_text(self) -> None:
        self.text_ended = True
        if self.speech is not None:
            self.speech.finish()

    def begin(self, speech: Speech, meter: UtteranceMeter) -> None:
        """Its turn has come: what was said so far goes to the engine, what follows goes there directly."""
        self.speech, self.meter = speech, meter
        speech.push(self.spoken.text)
        if self.text_ended:
            speech.finish()

    def add_mark(self, name: str) -> None:
        """A mark behind all text so far."""
        self._marks_by_text.append((self.spoken.chars, name))

    def take_chunk(self, chunk: AudioChunk) -> None:
        """Learn from a chunk where its segment's text, and the marks behind that text, end in the audio."""
        self.spoken.add_audio(chunk)
        if not chunk.ends_segment:
            return
        end_sample = chunk.first_sample + len(chunk.samples) + self.encoder_delay_samples
        end_frame = -(-end_sample // self._frame_samples)
        text = self.spoken.text
        while self._marks_by_text and not text[chunk.span.end_char : self._marks_by_text[0][0]].strip():
            self._marks_by_frame.append((end_frame, self._marks_by_text.pop(0)[1]))

    def cut_at_marks(
        self, payloads: Sequence[bytes]
    ) -> Iterator[tuple[Sequence[bytes], list[tuple[int, str]]]]:
        """Runs of frames, each with the marks (frame, name) that fall behind it."""
        while self._marks_by_frame and self._marks_by_frame[0][0] <= self.frames + len(payloads):
            end_frame = max(self._marks_by_frame[0][0], self.frames)
            run, payloads = payloads[: end_frame - self.frames], payloads[end_frame - self.frames :]
            self.frames = end_frame
            yield run, [(end_frame, self._marks_by_frame.popleft()[1])]
        self.frames += len(payloads)
        yield payloads, []

    def take_marks(self) -> list[tuple[int, str]]:
        """Every mark not placed yet, as falling behind the last frame so far."""
        names = [name for _, name in self._marks_by_frame] + [name for _, name in self._marks_by_text]
        self._marks_by_frame.clear()
        self._marks_by_text.clear()
        return [(self.frames, name) for name in names]

    def split_text(self, played_ms: float) -> tuple[str, str]:
        """(spoken, not spoken) after ``played_ms`` of its frames."""
        samples = int(played_ms * SOURCE_RATE_HZ / 1000)
        # The last frame is padded, and the encoder runs late by its delay: whole means all of it.
        if self.handed_on and self.frames and samples >= self.frames * self._frame_samples:
            return self.spoken.text, ""
        return self.spoken.split(max(0, samples - self.encoder_delay_samples))

    @property
    def _frame_samples(self) -> int:
        return SOURCE_RATE_HZ * self.audio_format.ptime_ms // 1000
