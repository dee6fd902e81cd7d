"""A packed folder is a checkpoint and an export in one, and says what it says by either way."""

import asyncio
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from engines import EngineConfig, SpeechRequest, open_engine
from engines.backends.manifest import check_files, read_manifest
from engines.backends.signature import S3_CHUNK, T3_STEP
from engines.contract import Samples
from engines.model import MODEL_FILE, S3GEN_FILE, VOICE_ENCODER_FILE
from export.checkpoint_store import REST_FILE
from export.folder import FAMILIES, ExportPlan, export_folder
from export.onnx_graphs import OPS
from export.verify import verify_folder
from tests.engines.voices.speechlike import speechlike
from tests.fakes.tiny_packed import MODEL, tiny_packed

WEIGHTS = (MODEL.t3_file, S3GEN_FILE, VOICE_ENCODER_FILE)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def speak(backend: str, voice: str) -> Samples:
    config = EngineConfig.resolve(
        "latency", backend=backend, model=str(tiny_packed()), threads=1, max_segment_tokens=16
    )
    engine = open_engine(config)

    async def heard() -> list[Samples]:
        async with engine.speak("Good morning.", SpeechRequest(voice, seed=3)) as speech:
            return [chunk.samples async for chunk in speech]

    try:
        return np.concatenate(asyncio.run(heard()))
    finally:
        engine.close()


def test_both_backends_speak_the_same_with_every_voice() -> None:
    audio = {
        (backend, voice): speak(backend, voice)
        for backend in ("onnx", "pytorch")
        for voice in ("default", "other")
    }
    for voice in ("default", "other"):
        onnx_, torch_ = audio["onnx", voice], audio["pytorch", voice]
        assert onnx_.shape == torch_.shape
        assert np.abs(torch_).max() > 1e-3, "silence proves nothing"
        assert np.abs(onnx_ - torch_).max() < 1e-3
    default, other = audio["onnx", "default"], audio["onnx", "other"]
    assert default.shape != other.shape or np.abs(default - other).max() > 1e-3


def test_every_graph_is_what_its_weights_are() -> None:
    verdicts = list(verify_folder(tiny_packed(), tiny_packed(), threads=1))
    assert {each.graph for each in verdicts} == {*FAMILIES}
    assert [each for each in verdicts if not each.is_ok] == []
    assert max(each.relative_rms for each in verdicts if each.output in ("logits", "mel")) < 2e-5


def test_graphs_read_the_checkpoint_s_own_files() -> None:
    manifest = read_manifest(tiny_packed())
    check_files(tiny_packed(), manifest, deep=True)
    assert manifest.graphs[T3_STEP].weights[-1] == MODEL.t3_file
    assert S3GEN_FILE in manifest.graphs[S3_CHUNK].weights
    assert {MODEL_FILE, REST_FILE, *WEIGHTS} <= manifest.files.keys()
    assert manifest.voices == ("voices/default.safetensors", "voices/other.safetensors")


def test_little_is_written_twice() -> None:
    sizes = {name: record.bytes for name, record in read_manifest(tiny_packed()).files.items()}
    weights = sum(sizes[name] for name in WEIGHTS)
    assert sizes[REST_FILE] < 0.12 * weights
    assert sum(size for name, size in sizes.items() if name.endswith(".onnx")) < 500_000


def test_graphs_are_made_of_ops_that_every_runtime_has() -> None:
    for name in FAMILIES:
        graph = onnx.load(tiny_packed() / f"{name}.onnx", load_external_data=False)
        assert {node.domain + node.op_type for node in graph.graph.node} <= OPS


def test_a_packed_folder_can_be_exported_as_any_checkpoint_with_its_voices(tmp_path: Path) -> None:
    manifest = export_folder(ExportPlan(tiny_packed(), tmp_path / "out", graphs=("voice_speaker",)))
    assert manifest.voices == ("voices/default.safetensors", "voices/other.safetensors")
    check_files(tmp_path / "out", manifest, deep=True)


ENROLL = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        assert name.partition(".")[0] not in ("torch", "onnx", "export"), name

sys.meta_path.insert(0, NoTorch())
import numpy as np
from pathlib import Path
from engines.chatterbox.open import open_enroller
voice = open_enroller("onnx", Path(sys.argv[1])).enroll(np.load(sys.argv[2]))
sys.stdout.write(str(len(voice.s3_prompt)))
"""


def test_a_voice_is_enrolled_without_torch_to_the_model_s_own_length(tmp_path: Path) -> None:
    np.save(tmp_path / "said.npy", speechlike(6.0))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ENROLL, tiny_packed(), tmp_path / "said.npy"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == MODEL.s3_prompt_tokens
