"""Wire format of our WebSocket: each message is a value; PROTOCOL.md is its page."""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Start(_Message):
    type: Literal["start"] = "start"
    voice: str = Field("default", max_length=200)
    encoding: str = Field("mulaw", max_length=20)
    sample_rate: int | None = None
    pacing: Literal["realtime", "fast"] = "realtime"
    transport: Literal["binary", "base64"] = "binary"
    silence: bool = False
    seed: int = Field(0, ge=0, lt=2**32)


class Text(_Message):
    type: Literal["text"] = "text"
    text: str


class Flush(_Message):
    type: Literal["flush"] = "flush"


class Mark(_Message):
    type: Literal["mark"] = "mark"
    name: str = Field(min_length=1, max_length=200)


class Clear(_Message):
    type: Literal["clear"] = "clear"
    utterance: int | None = Field(None, ge=1)
    played_ms: float | None = Field(None, ge=0)


class Close(_Message):
    type: Literal["close"] = "close"


ClientMessage = Start | Text | Flush | Mark | Clear | Close

_CLIENT: TypeAdapter[ClientMessage] = TypeAdapter(Annotated[ClientMessage, Field(discriminator="type")])
_TYPES = "start, text, flush, mark, clear, close"


class MessageError(ValueError):
    """A client's message that is not of the protocol; ``field`` names what is wrong with it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def parse_message(raw: str) -> ClientMessage:
    """Raises MessageError, and nothing else, for whatever a client may send."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise MessageError("", "the message is not JSON") from None
    if not isinstance(value, dict):
        raise MessageError("", "the message is not a JSON object")
    try:
        return _CLIENT.validate_python(value)
    except ValidationError as error:
        raise _first_error(value, error) from None


def _first_error(value: dict[str, Any], error: ValidationError) -> MessageError:
    first = error.errors()[0]
    if first["type"].startswith("union_tag"):
        return MessageError("type", f"type: {_shown(value.get('type'))} is unknown; use {_TYPES}")
    field = ".".join(str(part) for part in first["loc"][1:])  # loc[0] is the message's type
    if first["type"] == "extra_forbidden":
        return MessageError(field, f"{field}: is not a key of {value['type']!r}")
    return MessageError(field, f"{field}: {_shown(value.get(field))}: {first['msg'].lower()}")


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."


class Ready(_Message):
    type: Literal["ready"] = "ready"
    call_id: str
    voice: str
    encoding: str
    sample_rate: int
    frame_bytes: int
    pacing: str
    transport: str


class UtteranceStarted(_Message):
    type: Literal["utterance_started"] = "utterance_started"
    utterance: int
    ttfa_ms: float
    engine_ms: float


class Audio(_Message):
    type: Literal["audio"] = "audio"
    utterance: int
    audio: str


class UtteranceEnded(_Message):
    type: Literal["utterance_ended"] = "utterance_ended"
    utterance: int
    played_ms: int
    reason: str


class MarkReached(_Message):
    type: Literal["mark"] = "mark"
    name: str
    utterance: int
    state: Literal["played", "sent", "cleared"]
    played_ms: int


class Cleared(_Message):
    type: Literal["cleared"] = "cleared"
    utterance: int | None
    played_ms: int
    text_spoken: str
    text_not_spoken: str


class Error(_Message):
    type: Literal["error"] = "error"
    code: str
    message: str
    field: str | None = None
    fatal: bool = False


ServerMessage = Ready | UtteranceStarted | Audio | UtteranceEnded | MarkReached | Cleared | Error
