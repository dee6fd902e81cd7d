"""The event loop of every process here: uvloop where it is installed, as in the server."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def run_on_loop(main: Coroutine[Any, Any, Result]) -> Result:
    """Run to the end on a loop of its own; no global policy is touched."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)
