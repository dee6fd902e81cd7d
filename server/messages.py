"""Wire format of our WebSocket: each message is a value; PROTOCOL.md is its page."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from server.shown import show_key, show_value

_MAX_PLAYED_MS = 86_400_000
"""A day: no utterance lasts as long, and no arithmetic overflows."""


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Start(_Message):
    type: Literal["start"] = "start"
    voice: str = Field(default="default", max_length=200)
    encoding: str = Field(default="mulaw", max_length=20)
    sample_rate: int | None = None
    pacing: Literal["realtime", "fast"] = "realtime"
    transport: Literal["binary", "base64"] = "binary"
    silence: bool = False
    seed: int = Field(default=0, ge=0, lt=2**32)


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
    utterance: int | None = Field(default=None, ge=1, lt=2**53)
    played_ms: float | None = Field(default=None, ge=0, le=_MAX_PLAYED_MS)


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
        # Read as JSON here and not by json.loads, which lets half a surrogate pair through.
        return _CLIENT.validate_json(raw)
    except ValidationError as error:
        raise _refusal(error.errors()[0]) from None


def _refusal(first: ErrorDetails) -> MessageError:
    kind, value = first["type"], first["input"]
    if kind == "json_invalid":
        return MessageError("", "the message is not JSON")
    if kind.startswith("union_tag"):
        return MessageError("type", f"type: {show_value(value.get('type'))} is unknown; use {_TYPES}")
    if len(first["loc"]) < 2:
        return MessageError("", "the message is not a JSON object")
    message_type, key = first["loc"][:2]
    field = show_key(str(key))
    if kind == "extra_forbidden":
        return MessageError(field, f"{field}: is not a key of {message_type!r}")
    return MessageError(field, f"{field}: {show_value(value)}: {first['msg'].lower()}")


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
