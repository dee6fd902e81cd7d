"""The voice in the box: package data that is whole, small, and spoken by either backend."""

import asyncio
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engines import EngineConfig, SpeechRequest, open_backend, open_engine
from engines.backends.manifest import MANIFEST_FILE, check_files, read_manifest
from engines.contract import DEFAULT_VOICE, Samples
from engines.errors import BackendUnavailable, ConfigError
from engines.model import find_model
from engines.pocket import pocket_folder
from engines.rates import SAMPLE_RATE_HZ
from export.pocket.model import POCKET
from export.pocket.pack import MAX_CHECKPOINT_BYTES, TRAINING_FILE

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent.parent
MODEL_CARD = "MODEL_CARD.md"


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def speak(voice: str, **settings: Any) -> Samples:
    engine = open_engine(EngineConfig.resolve("latency", threads=1, temperature=0.0, **settings))

    async def heard() -> list[Samples]:
        async with engine.speak("Good morning.", SpeechRequest(voice, seed=1)) as speech:
            return [chunk.samples async for chunk in speech]

    try:
        return np.concatenate(asyncio.run(heard()))
    finally:
        engine.close()


def test_all_of_it_is_there_and_is_the_model_that_the_scripts_make() -> None:
    manifest = read_manifest(pocket_folder())
    check_files(pocket_folder(), manifest, deep=True)
    assert manifest.model == find_model(pocket_folder()) == POCKET
    assert manifest.voices == ("voices/default.safetensors", "voices/awb.safetensors")
    for name in (MODEL_CARD, TRAINING_FILE):
        assert (pocket_folder() / name).stat().st_size > 500


def test_a_wheel_takes_all_of_it_along() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    globs = project["tool"]["setuptools"]["package-data"]["engines.pocket"]
    names = {*read_manifest(pocket_folder()).files, MANIFEST_FILE, MODEL_CARD, TRAINING_FILE}
    left = {name for name in names if not any(_fits(name, glob) for glob in globs)}
    assert left == set()


def _fits(name: str, glob: str) -> bool:
    """As setuptools has it: a star does not go into folders."""
    return name.count("/") == glob.count("/") and fnmatch(name, glob)


def test_the_checkpoint_fits_a_package() -> None:
    assert sum(path.stat().st_size for path in pocket_folder().glob("*.safetensors")) <= MAX_CHECKPOINT_BYTES
    assert sum(path.stat().st_size for path in pocket_folder().rglob("*")) < MAX_CHECKPOINT_BYTES + 2_000_000


@pytest.mark.parametrize("voice", [DEFAULT_VOICE, "awb"])
def test_both_backends_speak_it_alike(voice: str) -> None:
    onnx = speak(voice, backend="pocket")
    torch_ = speak(voice, backend="pytorch", model=str(pocket_folder()))
    assert onnx.shape == torch_.shape
    assert 0.4 < len(onnx) / SAMPLE_RATE_HZ < 2.5
    assert np.abs(torch_).max() > 0.05
    assert np.abs(onnx - torch_).max() < 2e-3


SPEAK = """
import asyncio, sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        assert name.partition(".")[0] not in ("torch", "onnx", "export"), name

sys.meta_path.insert(0, NoTorch())
from engines import EngineConfig, open_engine
engine = open_engine(EngineConfig.resolve("latency", backend="pocket", threads=1))

async def speak():
    async with engine.speak("Good morning.") as speech:
        return sum([len(chunk.samples) async for chunk in speech])

samples = asyncio.run(speak())
engine.close()
sys.stdout.write(f"{samples} {engine.backend_name} {engine.details['model']}")
"""


def test_it_speaks_without_torch() -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", SPEAK], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    samples, *told = done.stdout.split()
    assert int(samples) > SAMPLE_RATE_HZ // 4
    assert told == ["pocket", "pocket"]


def test_without_its_runtime_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendUnavailable, match=r"onnxruntime is not installed .*talkspurt\[onnx\]"):
        open_backend(EngineConfig(backend="pocket"))


def test_it_brings_its_own_model_and_takes_no_other() -> None:
    with pytest.raises(ConfigError, match="is of no use to the backend pocket"):
        open_backend(EngineConfig(backend="pocket", model="elsewhere"))
