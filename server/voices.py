"""`/v1/voices`: the voices there are, and new ones from recordings."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from engines.errors import ConfigError, InvalidRequest
from engines.voices.files import MAX_DESCRIPTION_CHARS, VoiceLabel, check_description, check_name
from engines.voices.library import VoiceLibrary
from server.admission import Refusal
from server.errors import ApiError
from server.recording import MAX_DECODED_S, enroll_recording
from server.services import Services
from server.shown import show_value

MAX_WAITING = 4
"""Recordings that may wait while another is enrolled."""

MAX_BODY_BYTES = 25_000_000

_BODY_TIMEOUT_S = 60.0
_RETRY_AFTER_S = 10
_MAX_FORM_FIELDS = 16

_FILE = {"type": "string", "format": "binary"}
_FIELDS = {
    "name": {"type": "string"},
    "description": {"type": "string"},
    "replace": {"type": "boolean", "default": False},
}
_UPLOAD: dict[str, Any] = {
    "parameters": [{"name": name, "in": "query", "schema": schema} for name, schema in _FIELDS.items()],
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": {"type": "object", "properties": {**_FIELDS, "file": _FILE}}},
            "audio/*": {"schema": _FILE},
        },
    },
}
"""What OpenAPI is told of a body that is read by hand."""


class WantedVoice(BaseModel):
    """What is asked for beside the recording. Unknown keys are refused by name."""

    model_config = ConfigDict(extra="forbid")

    name: str
    description: str = Field("Enrolled voice", max_length=MAX_DESCRIPTION_CHARS)
    replace: bool = False


class Enrolment:
    """Makes voices of recordings beside the calls: one at a time, and off the event loop."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._turn = asyncio.Lock()
        self._inside = 0

    @property
    def voices(self) -> VoiceLibrary:
        return self._services.engine.voices

    @contextlib.contextmanager
    def admitted(self) -> Iterator[None]:
        """Room for one recording. Raises ApiError: 501 where none can be enrolled, 503 when it is full."""
        if not self._services.engine.can_enroll:
            engine = self._services.engine.backend_name
            raise ApiError(501, f"the engine {engine} makes no voices of recordings", code="cannot_enroll")
        _require_folder(self.voices)
        if self._services.door.draining:
            raise ApiError.refused(Refusal("draining", "the server is stopping", _RETRY_AFTER_S))
        if self._inside > MAX_WAITING:
            message = f"{MAX_WAITING} recordings are waiting; try again in {_RETRY_AFTER_S} s"
            raise ApiError.refused(Refusal("full", message, _RETRY_AFTER_S))
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    async def add(self, wanted: WantedVoice, content: bytes) -> VoiceLabel:
        """Enroll when its turn has come. Raises ApiError 409 for a name that is taken, InvalidRequest."""
        check_name(wanted.name)
        check_description(wanted.description)
        async with self._turn:
            if not wanted.replace and await asyncio.to_thread(self.voices.is_taken, wanted.name):
                raise _taken(wanted.name)
            try:
                return await asyncio.to_thread(self._enroll, wanted, content)
            except FileExistsError:  # another process was first
                raise _taken(wanted.name) from None
            except ConfigError as error:
                raise ApiError(503, str(error), code="voices_unwritable") from None

    def _enroll(self, wanted: WantedVoice, content: bytes) -> VoiceLabel:
        conditioning, nominal_dbov = enroll_recording(content, self._services.engine.enroll)
        return self.voices.add(wanted.name, conditioning, wanted.description, nominal_dbov, wanted.replace)


async def read_upload(request: Request) -> tuple[WantedVoice, bytes]:
    """A form with the fields of WantedVoice and `file`; or a file as the body, and the fields in the query.

    Raises ApiError (400, 408, 413, 499), RequestValidationError.
    """
    try:
        return await asyncio.wait_for(_upload(request), _BODY_TIMEOUT_S)
    except asyncio.TimeoutError:
        raise ApiError(408, f"the body took longer than {_BODY_TIMEOUT_S:g} s", code="timeout") from None
    except ClientDisconnect:
        raise ApiError(499, "the client has left", code="client_left") from None


async def _upload(request: Request) -> tuple[WantedVoice, bytes]:
    fields: dict[str, Any] = dict(request.query_params)
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        wanted = _checked(fields)  # before what may be long to come
        return wanted, b"".join([piece async for piece in _bounded(request)])
    parser = MultiPartParser(request.headers, _bounded(request), max_files=1, max_fields=_MAX_FORM_FIELDS)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise ApiError(400, f"the form: {error.message}", code="malformed_form") from None
    try:
        fields |= form
        file = fields.pop("file", None)
        if not isinstance(file, UploadFile):
            raise InvalidRequest("file", file, "must be a file, the recording")
        return _checked(fields), await file.read()
    finally:
        await form.close()


def _checked(fields: dict[str, Any]) -> WantedVoice:
    try:
        return WantedVoice.model_validate(fields)
    except ValidationError as error:
        raise RequestValidationError(
            [{**each, "loc": ("query", *each["loc"])} for each in error.errors()]
        ) from None


async def _bounded(request: Request) -> AsyncGenerator[bytes, None]:
    """The body as it comes. Raises ApiError 413 as soon as it is too long."""
    received_bytes = int(request.headers.get("content-length", 0))
    if received_bytes <= MAX_BODY_BYTES:
        received_bytes = 0
        async for piece in request.stream():
            received_bytes += len(piece)
            if received_bytes > MAX_BODY_BYTES:
                break
            yield piece
    if received_bytes > MAX_BODY_BYTES:
        message = f"the body is longer than {MAX_BODY_BYTES} bytes; {MAX_DECODED_S} s of audio suffice"
        raise ApiError(413, message, code="too_large", param="file")


def _require_folder(voices: VoiceLibrary) -> None:
    if voices.folder is None:
        message = "no folder of voices is configured; start the server with --voices DIR"
        raise ApiError(501, message, code="no_voices_folder")


def _taken(name: str) -> ApiError:
    message = f"name: {name!r} is taken; replace=true overwrites it"
    return ApiError(409, message, code="conflict", param="name")


def _unknown(name: str) -> ApiError:
    return ApiError(404, f"name: {show_value(name)} is no voice", code="not_found", param="name")


def _shown(name: str, label: VoiceLabel) -> dict[str, Any]:
    return {
        "name": name,
        "description": label.description,
        "nominal_dbov": label.nominal_dbov,
        "built_in": label.created is None,
        "created": label.created,
        "origin": dict(label.origin),
    }


def voice_routes(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1/voices")
    enrolment = Enrolment(services)
    voices = services.engine.voices

    @router.get("")
    async def every() -> dict[str, Any]:
        labels = await asyncio.to_thread(voices.labels)
        return {"voices": [_shown(name, label) for name, label in labels.items()]}

    @router.post("", status_code=201, openapi_extra=_UPLOAD)
    async def add(request: Request) -> dict[str, Any]:
        """Make a voice of a recording of 5 to 30 s: one speaker, no music."""
        with enrolment.admitted():
            wanted, content = await read_upload(request)
            return _shown(wanted.name, await enrolment.add(wanted, content))

    @router.get("/{name}")
    async def one(name: str) -> dict[str, Any]:
        try:
            return _shown(name, await asyncio.to_thread(voices.label, name))
        except KeyError:
            raise _unknown(name) from None

    @router.delete("/{name}", status_code=204)
    async def remove(name: str) -> Response:
        """Utterances under way with it are spoken to their end."""
        try:
            await asyncio.to_thread(voices.remove, name)
        except KeyError:
            raise _unknown(name) from None
        except InvalidRequest as error:
            raise ApiError(409, str(error), code="conflict", param="name") from None
        except ConfigError as error:
            raise ApiError(503, str(error), code="voices_unwritable") from None
        return Response(status_code=204)

    return router
