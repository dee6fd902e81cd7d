"""Peer programs: a test that needs one is skipped where it is not installed, and fails in CI."""

import os
import shutil

import pytest


def require_program(name: str) -> str:
    """The program's path; skips the test without it, or fails where REQUIRE_PEERS is set."""
    path = shutil.which(name)
    if path is None:
        message = f"{name} is not installed"
        if os.environ.get("REQUIRE_PEERS"):
            pytest.fail(message)
        pytest.skip(message)
    return path
