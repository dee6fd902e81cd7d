"""Peer programs: a test that needs one is skipped where it is not installed, and fails in CI."""

import importlib.util
import os
import shutil

import pytest


def require_program(name: str) -> str:
    """The program's path; skips the test without it, or fails where REQUIRE_PEERS is set."""
    path = shutil.which(name)
    if path is None:
        _do_without(name)
    assert path is not None
    return path


def require_module(name: str) -> None:
    """Skips the test where a library of Python is not installed, or fails where REQUIRE_PEERS is set."""
    if importlib.util.find_spec(name) is None:
        _do_without(name)


def _do_without(name: str) -> None:
    message = f"{name} is not installed"
    if os.environ.get("REQUIRE_PEERS"):
        pytest.fail(message)
    pytest.skip(message)
