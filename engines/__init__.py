"""Text in, 24 kHz audio out: the engine's public face."""

from engines.config import EngineConfig
from engines.contract import AudioChunk, FinishReason, SpeechRequest
from engines.engine import Speech, SpeechEngine, open_engine
from engines.errors import EngineError

__all__ = [
    "AudioChunk",
    "EngineConfig",
    "EngineError",
    "FinishReason",
    "Speech",
    "SpeechEngine",
    "SpeechRequest",
    "open_engine",
]
