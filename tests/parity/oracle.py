"""Ask the reference implementation, in its own environment, what it makes of the same weights and inputs.

A question is a script beside this file (`ask_*.py`), run by the reference's Python with a folder
of weights, a file of inputs and a file for its answers. It imports nothing of ours.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]


def oracle_python() -> str:
    """Its interpreter; skips the test without it, or fails where REQUIRE_PEERS is set."""
    path = Path(os.environ.get("ORACLE_PYTHON", ROOT / ".oracle/bin/python"))
    if not path.exists():
        message = "the reference implementation is not installed: make oracle"
        if os.environ.get("REQUIRE_PEERS"):
            pytest.fail(message)
        pytest.skip(message)
    return str(path)


def ask(
    question: str, model: Path, inputs: Mapping[str, Any], folder: Path, timeout_s: float = 600
) -> dict[str, NDArray[Any]]:
    """Run `ask_<question>.py MODEL INPUTS ANSWERS`: arrays in, arrays out."""
    given, answers = folder / f"{question}_inputs.npz", folder / f"{question}_answers.npz"
    np.savez(given, **inputs)
    script = Path(__file__).parent / f"ask_{question}.py"
    command = [oracle_python(), str(script), str(model), str(given), str(answers)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s)
    assert done.returncode == 0, done.stderr[-4_000:]
    with np.load(answers) as found:
        return {name: found[name] for name in found.files}


def relative_error(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """RMS of the difference over RMS of the reference's."""
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    difference = np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)
    return float(
        np.sqrt(np.mean(difference**2)) / max(np.sqrt(np.mean(np.asarray(theirs, np.float64) ** 2)), 1e-12)
    )
