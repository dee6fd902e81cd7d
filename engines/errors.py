"""Every error that crosses the engine's face.

EngineError
├── InvalidRequest      the caller's mistake: names the field, the value and what is allowed
├── EngineFull          refused at the door, before any work; come back after retry_after_s
├── EngineClosed        the engine is stopping or has stopped
├── BackendUnavailable  a runtime is not installed or does not load; raised at start, names the extra
├── SpeechFailed        this utterance's step failed; others go on
└── ConfigError         an unknown key or a value out of range; raised before any heavy import
"""


class EngineError(Exception):
    """Base of all errors that engines raises."""


class InvalidRequest(EngineError):
    """A request that can never succeed as it stands."""

    def __init__(self, field: str, value: object, reason: str) -> None:
        shown = repr(value)
        if len(shown) > 80:
            shown = shown[:77] + "..."
        super().__init__(f"{field}: {shown} {reason}")
        self.field = field
        self.value = value


class EngineFull(EngineError):
    """All places are taken. Nothing was queued."""

    def __init__(self, places: int, retry_after_s: float) -> None:
        super().__init__(f"all {places} places are taken; try again in {retry_after_s:g} s")
        self.places = places
        self.retry_after_s = retry_after_s


class EngineClosed(EngineError):
    """The engine no longer takes or finishes work."""


class BackendUnavailable(EngineError):
    """A backend was chosen whose runtime is missing."""


class SpeechFailed(EngineError):
    """The backend failed while this utterance was in its step."""


class ConfigError(EngineError):
    """The configuration does not make sense."""

    def __init__(self, field: str, value: object, reason: str) -> None:
        super().__init__(f"{field}: {value!r} {reason}")
        self.field = field
        self.value = value
