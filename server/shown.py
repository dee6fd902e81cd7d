"""How a client's own words are shown back to it in an error: cut short. Pure."""

MAX_SHOWN_CHARS = 80


def show_value(value: object) -> str:
    """A value as Python writes it, cut short."""
    return _shorten(repr(value))


def show_key(key: str) -> str:
    """A key as it came, cut short."""
    return _shorten(key)


def _shorten(shown: str) -> str:
    return shown if len(shown) <= MAX_SHOWN_CHARS else shown[: MAX_SHOWN_CHARS - 3] + "..."
