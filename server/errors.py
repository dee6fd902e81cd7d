"""HTTP errors in OpenAI's form: {"error": {"message", "type", "param", "code"}}."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from engines.errors import EngineClosed, EngineFull, InvalidRequest
from server.admission import Refusal
from server.shown import show_key, show_value
from telephony.errors import TelephonyError, UnsupportedFormat


class ApiError(Exception):
    """An answer other than success. ``param`` names the field that is wrong."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s

    @classmethod
    def refused(cls, refusal: Refusal) -> "ApiError":
        """503 with Retry-After: no room, and nothing was begun."""
        after = refusal.retry_after_s
        return cls(503, refusal.message, code=refusal.reason, retry_after_s=after)

    @property
    def response(self) -> JSONResponse:
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        body = {"message": str(self), "type": kind, "param": self.param, "code": self.code}
        headers = {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        return JSONResponse({"error": body}, self.status, headers)


def install_error_handlers(app: FastAPI) -> None:
    """Every error that a route may raise becomes one documented body."""

    @app.exception_handler(ApiError)
    async def api(request: Request, error: ApiError) -> JSONResponse:
        return error.response

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        return _of_validation(error).response

    @app.exception_handler(InvalidRequest)
    async def invalid(request: Request, error: InvalidRequest) -> JSONResponse:
        return ApiError(400, str(error), code="invalid_value", param=error.field).response

    @app.exception_handler(UnsupportedFormat)
    async def unsupported(request: Request, error: UnsupportedFormat) -> JSONResponse:
        return ApiError(400, str(error), code="unsupported_format", param=error.field).response

    @app.exception_handler(TelephonyError)
    async def telephony(request: Request, error: TelephonyError) -> JSONResponse:
        return ApiError(400, str(error), code="invalid_value").response

    @app.exception_handler(EngineFull)
    async def full(request: Request, error: EngineFull) -> JSONResponse:
        after = max(1, round(error.retry_after_s))
        return ApiError(503, str(error), code="full", retry_after_s=after).response

    @app.exception_handler(EngineClosed)
    async def closed(request: Request, error: EngineClosed) -> JSONResponse:
        return ApiError(503, str(error), code="draining", retry_after_s=1).response

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> JSONResponse:
        # A fault of ours: the log has the trace, the caller an answer in the documented form.
        return ApiError(500, "the server failed", code="internal").response

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        response = ApiError(error.status_code, str(error.detail), code="http_error").response
        response.headers.update(error.headers or {})  # Allow, of a 405
        return response


def _of_validation(error: RequestValidationError) -> ApiError:
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return ApiError(400, f"the body is not JSON: {first['ctx']['error']}", code="malformed_json")
    # The body's own key: what lies below it is named by branches of our types, which no client knows.
    field = show_key(str(first["loc"][1])) if len(first["loc"]) > 1 else ""
    reason = first["msg"].lower()
    message = f"{field}: {show_value(first.get('input'))}: {reason}" if field else f"the body: {reason}"
    return ApiError(400, message, code="invalid_value", param=field or None)
