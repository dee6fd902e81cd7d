"""Text in, 24 kHz audio out: the engine's public face."""

from engines.config import EngineConfig
from engines.contract import AudioChunk, FinishReason, SpeechRequest
from engines.engine import BACKENDS, Speech, SpeechEngine, open_backend, open_engine
from engines.errors import EngineError

__all__ = [
    "BACKENDS",
    "AudioChunk",
    "EngineConfig",
    "EngineError",
    "FinishReason",
    "Speech",
    "SpeechEngine",
    "SpeechRequest",
    "open_backend",
    "open_engine",
]
