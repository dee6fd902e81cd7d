"""Thread-safe facade: calls become commands, events become streams."""

import asyncio
import importlib
import itertools
import logging
from collections.abc import Callable, Mapping
from threading import Lock
from types import TracebackType
from typing import Any

from engines.backends.base import Backend, Voice
from engines.config import EngineConfig
from engines.contract import (
    DEFAULT_VOICE,
    AudioChunk,
    FinishReason,
    Samples,
    SpeechRequest,
    SpokenSegment,
    StepRecord,
    TextSpan,
)
from engines.errors import ConfigError, EngineClosed, EngineFull, InvalidRequest
from engines.loop import AddSegments, Admit, Cancel, Command, Consumed, EndText, EngineLoop, Stop
from engines.rates import SAMPLE_RATE_HZ, TOKEN_HZ
from engines.scheduler import Scheduler
from engines.scheduler.chunking import ChunkSchedule
from engines.scheduler.policy import DeadlinePolicy
from engines.scheduler.scheduler import Limits
from engines.scheduler.step import ChunkReady, UtteranceEnded
from engines.stream import ChunkStream
from engines.text import Segment, Segmenter, normalize
from engines.voices.library import VoiceLibrary

log = logging.getLogger("talkspurt.engine")

BACKENDS = {
    "onnx": "engines.backends.onnxrt:open_backend",
    "pocket": "engines.backends.onnxrt:open_pocket",
    "preview": "engines.backends.preview:open_backend",
    "pytorch": "engines.backends.pytorch:open_backend",
    "tone": "engines.backends.tone:open_backend",
}
"""Name to opener; each module is imported only when its name is chosen."""

SPEAKS_A_MODEL = frozenset({"onnx", "pytorch"})
"""Backends that speak what lies in EngineConfig.model; the others bring their own voice."""

NS_PER_MS = 1_000_000


def open_engine(config: EngineConfig, observe: Callable[[StepRecord], None] | None = None) -> "SpeechEngine":
    """Open the configured backend and start its engine thread.

    Raises ConfigError for an unknown backend, BackendUnavailable for a missing runtime.
    """
    return SpeechEngine(open_backend(config), config, observe or _ignore)


def open_backend(config: EngineConfig) -> Backend:
    """Open a runtime without an engine, to see whether it does. Raises as `open_engine`."""
    name = config.backend
    if name not in BACKENDS:
        raise ConfigError("backend", name, f"is unknown; use {', '.join(sorted(BACKENDS))}")
    if (config.model is not None) != (name in SPEAKS_A_MODEL):
        others = ", ".join(sorted(SPEAKS_A_MODEL))
        needs = "is of no use to" if config.model else "must be a folder for"
        raise ConfigError("model", config.model, f"{needs} the backend {name}; models are spoken by {others}")
    module, opener = BACKENDS[name].split(":")
    backend: Backend = getattr(importlib.import_module(module), opener)(config)
    return backend


class SpeechEngine:
    """Speaks many utterances at once. Every method may be called from any thread."""

    def __init__(
        self, backend: Backend, config: EngineConfig, observe: Callable[[StepRecord], None] | None = None
    ) -> None:
        self.config = config
        self.backend_name = backend.name
        self.details: Mapping[str, str] = backend.details
        self.voices = _library(backend.voices)
        self._enroller = backend.enroller
        self._lock = Lock()
        self._streams: dict[int, ChunkStream] = {}
        self._ids = itertools.count(1)
        self._closed = False
        scheduler = Scheduler(_limits(backend, config), _schedule(backend, config), _policy(config))
        self._loop = EngineLoop(backend, scheduler, self._deliver, observe or _ignore, self._stopped)
        self._loop.start()

    @property
    def in_use(self) -> int:
        """Utterances under way; never above config.max_utterances."""
        return len(self._streams)

    @property
    def alive(self) -> bool:
        return not self._closed

    def require_voice(self, name: str) -> Voice:
        """Raises InvalidRequest naming the voices there are."""
        voice = self.voices.get(name)
        if voice is None:
            known = ", ".join(sorted(self.voices))
            raise InvalidRequest("voice", name, f"is unknown; known are {known}")
        return voice

    @property
    def can_enroll(self) -> bool:
        """Whether this backend makes voices of recordings."""
        return self._enroller is not None

    def enroll(self, samples: Samples) -> Any:
        """What makes a voice, for `voices.add`, of a recording: seconds of work, in the caller's thread.

        One call at a time. Raises InvalidRequest for a recording that will not do, ConfigError when
        this backend makes no voices.
        """
        if self._enroller is None:
            raise ConfigError("backend", self.backend_name, "makes no voices of recordings")
        return self._enroller.enroll(samples)

    def open(self, request: SpeechRequest) -> "Speech":
        """Begin an utterance on the running asyncio loop; its text follows by push.

        Raises InvalidRequest (unknown voice), EngineFull (nothing was queued), EngineClosed.
        """
        voice = self.require_voice(request.voice)
        stream = ChunkStream(asyncio.get_running_loop())
        with self._lock:
            if self._closed:
                raise EngineClosed("the engine has stopped")
            if len(self._streams) >= self.config.max_utterances:
                raise EngineFull(self.config.max_utterances, self.config.retry_after_s)
            utterance_id = next(self._ids)
            self._streams[utterance_id] = stream
        self._loop.send(Admit(utterance_id, voice, request.seed))
        return Speech(utterance_id, request, self.config, stream, self._loop.send)

    def speak(self, text: str, request: SpeechRequest | None = None) -> "Speech":
        """Speak a whole text: open, push, finish. Raises what those raise."""
        speech = self.open(request or SpeechRequest())
        try:
            speech.push(text)
        except InvalidRequest:
            speech.cancel()
            raise
        speech.finish()
        return speech

    async def warm_up(self, text: str = "Talkspurt is warming up.") -> None:
        """Speak one utterance through every lane and discard it, if there is a voice; ready the enroller.

        Opening a graph holds up every thread of the process: it must not happen beside calls.
        """
        if self._enroller is not None and self.voices.folder is not None:
            await asyncio.to_thread(self._enroller.warm_up)
        # A file may be listed and not be fit to speak with: one that can be read is warmed with.
        voice = next((name for name in (DEFAULT_VOICE, *self.voices) if name in self.voices), None)
        if voice is None:
            return
        async with self.speak(text, SpeechRequest(voice)) as speech:
            async for _ in speech:
                pass

    def close(self, timeout_s: float = 10.0) -> None:
        """Stop the thread after the step in flight; utterances under way end with EngineClosed."""
        self._loop.send(Stop())
        if not self._loop.join(timeout_s):
            log.error("engine thread did not stop", extra={"timeout_s": timeout_s})

    def _deliver(self, event: ChunkReady | UtteranceEnded) -> None:
        if isinstance(event, ChunkReady):
            self._streams[event.utterance_id].publish(event.chunk)
            return
        with self._lock:
            stream = self._streams.pop(event.utterance_id)
        stream.end(event.reason, event.error)

    def _stopped(self) -> None:
        with self._lock:
            self._closed = True
            left = list(self._streams.values())
            self._streams.clear()
        for stream in left:
            stream.close()


class Speech:
    """One utterance: text in by push, audio out by `async for`. Leave it by `async with`."""

    def __init__(
        self,
        utterance_id: int,
        request: SpeechRequest,
        config: EngineConfig,
        stream: ChunkStream,
        send: Callable[[Command], None],
    ) -> None:
        self.utterance_id = utterance_id
        self.request = request
        self._config = config
        self._stream = stream
        self._send = send
        self._segmenter = Segmenter(max_chars=config.max_segment_chars)
        self._segments = 0
        self._chars = 0  # pushed in all
        self._base_char = 0  # of the segmenter's next offset
        self._finished = False

    def push(self, delta: str) -> None:
        """More text, cut anywhere. Raises InvalidRequest when the utterance grows too long."""
        assert not self._finished, "text was pushed after finish"
        limit = self._config.max_text_chars
        if self._chars + len(delta) > limit:
            raise InvalidRequest("text", delta, f"makes the utterance longer than {limit} characters")
        self._chars += len(delta)
        self._submit(self._segmenter.push(delta))

    def flush(self) -> None:
        """Speak what is held back, though more text may follow."""
        self._submit(self._segmenter.flush())
        self._base_char = self._chars

    def finish(self) -> None:
        """No more text: the audio ends with what has been pushed."""
        if not self._finished:
            self.flush()
            self._finished = True
            self._send(EndText(self.utterance_id))

    def cancel(self) -> None:
        """Stop speaking at whatever stage it is; nothing more is published. Safe at any time.

        Text pushed later is ignored: who feeds an utterance need not know that it was cut off.
        """
        self._send(Cancel(self.utterance_id))

    @property
    def segments(self) -> int:
        """How many segments the text has made so far; none means nothing to speak."""
        return self._segments

    @property
    def finish_reason(self) -> FinishReason | None:
        return self._stream.finish_reason

    def __aiter__(self) -> "Speech":
        return self

    async def __anext__(self) -> AudioChunk:
        chunk = await self._stream.next()
        if chunk is None:
            raise StopAsyncIteration
        self._send(Consumed(self.utterance_id, len(chunk.samples)))
        return chunk

    async def __aenter__(self) -> "Speech":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.finish_reason is None:
            self.cancel()

    def _submit(self, segments: list[Segment]) -> None:
        spoken: list[SpokenSegment] = []
        for segment in segments:
            # Markup alone is a segment, and nothing to say.
            if text := normalize(segment.text):
                spoken.append(SpokenSegment(self._segments + len(spoken), text, self._span(segment)))
        if spoken:
            self._segments += len(spoken)
            self._send(AddSegments(self.utterance_id, tuple(spoken)))

    def _span(self, segment: Segment) -> TextSpan:
        """The segmenter counts from its last flush; spans count from the utterance's first character."""
        return TextSpan(self._base_char + segment.start_char, self._base_char + segment.end_char)


def _library(voices: Mapping[str, Voice]) -> VoiceLibrary:
    return voices if isinstance(voices, VoiceLibrary) else VoiceLibrary(None, voices)


def _limits(backend: Backend, config: EngineConfig) -> Limits:
    return Limits.of(
        backend,
        config.max_utterances,
        config.max_unspoken_ms * TOKEN_HZ // 1000,
        config.max_unread_ms * SAMPLE_RATE_HZ // 1000,
        config.min_reserve_ms * NS_PER_MS,
    )


def _schedule(backend: Backend, config: EngineConfig) -> ChunkSchedule:
    return ChunkSchedule(config.chunk_tokens, backend.left_context_tokens, backend.lookahead_tokens)


def _policy(config: EngineConfig) -> DeadlinePolicy:
    return DeadlinePolicy(config.lead_ms * NS_PER_MS)


def _ignore(record: StepRecord) -> None:
    """No metrics are wanted."""
