"""Trained nets to the folder that is shipped: checkpoint, graphs, tokenizer, voices and training logs."""

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from engines.backends.base import Voice
from engines.backends.manifest import MANIFEST_FILE, Manifest, read_manifest
from engines.backends.pytorch import TorchRunner
from engines.model import TOKENIZER_FILES, ModelConfig
from engines.voices.enroll import Enroller
from engines.voices.files import SHIPPED_FOLDER, SUFFIX, write_voice
from export.beside import export_beside
from export.checkpoint import write_checkpoint
from export.pocket.model import POCKET
from export.pocket.training import LOG_FILE, STATE_FILE
from export.verify import verify_folder

TRAINING_FILE = "training.jsonl"

MAX_CHECKPOINT_BYTES = 25_000_000
"""Of the weights in float16: what a repository and a package can carry."""


class PackFailed(Exception):
    """What was packed is not what was trained, or too large."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """A voice to be enrolled, as it is shipped."""

    description: str
    recording: NDArray[np.float32]  # (n,) at 24 kHz, 5 to 30 s
    nominal_dbov: float


@dataclass(frozen=True, slots=True)
class Trained:
    """All that a pocket model is made of."""

    model: ModelConfig
    nets: Mapping[type[nn.Module], nn.Module]
    tokenizer: Path  # folder of TOKENIZER_FILES
    speakers: Mapping[str, Speaker]
    logs: Mapping[str, Path]  # by stage
    created: str  # ISO 8601


def pack(work: Path, out: Path, progress: Callable[[str], None] = lambda step: None) -> Manifest:
    """What was trained in ``work``, into ``out``; other files there (code, the model card) stay.

    Raises PackFailed, and whatever loading a stage raises where it was not trained.
    """
    return pack_trained(load_trained(work), out, progress)


def load_trained(work: Path) -> Trained:
    """Every stage's averaged weights, and its log. Says the voices' recordings with flite."""
    from export.pocket.flow import load_flow
    from export.pocket.speakers import load_speakers
    from export.pocket.speech import load_tokenizer
    from export.pocket.t3 import load_t3
    from export.pocket.tune import load_tuned

    nets = (
        load_t3(work),
        load_flow(work),
        load_tuned(work),
        load_tokenizer(work),
        *load_speakers(work),
    )
    runs = sorted(path.parent for path in (work / "runs").glob(f"*/{STATE_FILE}"))
    trained_s = max((run / STATE_FILE).stat().st_mtime for run in runs)
    return Trained(
        model=POCKET,
        nets={type(net): net.cpu().eval() for net in nets},
        tokenizer=work / "tokenizer",
        speakers=shipped_speakers(),
        logs={run.name: run / LOG_FILE for run in runs if (run / LOG_FILE).is_file()},
        created=datetime.fromtimestamp(trained_s, timezone.utc).isoformat(timespec="seconds"),
    )


_TEXTS = {
    "default": (
        "rms",
        "When the line is quiet you can hear the rain on the roof, and then somebody picks up the phone "
        "and asks you to wait for a moment.",
    ),
    "awb": (
        "awb",
        "The office is open on weekdays until half past five, and somebody will gladly help you with "
        "whatever you would like to know about it.",
    ),
}
_NOMINAL_DBOV = {"rms": -26.3, "awb": -26.5}
"""Active speech level, as server.recording.spoken_dbov measures these recordings."""


def shipped_speakers() -> dict[str, Speaker]:
    """The voices that training heard, by the names that they are shipped under."""
    from export.pocket.corpus import say, to_24k

    return {
        name: Speaker(
            f"Pocket voice, trained on Flite's {voice}", to_24k(say(text, voice)), _NOMINAL_DBOV[voice]
        )
        for name, (voice, text) in _TEXTS.items()
    }


def pack_trained(
    trained: Trained, out: Path, progress: Callable[[str], None] = lambda step: None
) -> Manifest:
    """As `pack`, from parts. Nothing in ``out`` changes before everything has been verified."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as name:
        folder = Path(name)
        progress("weights")
        write_checkpoint(folder, trained.model, trained.nets)
        _check_size(folder)
        for file in TOKENIZER_FILES:
            shutil.copyfile(trained.tokenizer / file, folder / file)
        progress("voices")
        _write_voices(folder, trained)
        _write_logs(folder / TRAINING_FILE, trained.logs)
        manifest = export_beside(folder, progress)
        for verdict in verify_folder(folder, folder, threads=1):
            progress(f"{verdict.graph}: {verdict.output} differs by {verdict.relative_rms:.1e}")
            if not verdict.is_ok:
                raise PackFailed(f"{verdict.graph} speaks otherwise than its weights: {verdict}")
        _install(folder, out)
    return manifest


def _check_size(folder: Path) -> None:
    found = sum(path.stat().st_size for path in folder.glob(f"*{SUFFIX}"))
    if found > MAX_CHECKPOINT_BYTES:
        raise PackFailed(f"the checkpoint takes {found} bytes, {found - MAX_CHECKPOINT_BYTES} too many")


def _write_voices(folder: Path, trained: Trained) -> None:
    """Enrolled by the very weights that will speak with them."""
    enroller = Enroller(TorchRunner(folder, threads=1), trained.model)
    (folder / SHIPPED_FOLDER).mkdir()
    for name, speaker in trained.speakers.items():
        conditioning = enroller.enroll(speaker.recording)
        voice = Voice(name, speaker.description, speaker.nominal_dbov, conditioning)
        write_voice(folder / SHIPPED_FOLDER / f"{name}{SUFFIX}", voice, trained.created)


def _write_logs(path: Path, logs: Mapping[str, Path]) -> None:
    """Every stage's curves in one file, a record a line."""
    lines = (
        json.dumps({"stage": stage, **json.loads(line)})
        for stage, log in logs.items()
        for line in log.read_text().splitlines()
    )
    path.write_text("".join(f"{line}\n" for line in lines))


def _install(folder: Path, out: Path) -> None:
    """Replace the older export's files in ``out``, and leave what is not of it. The manifest goes last."""
    if (out / MANIFEST_FILE).is_file():
        for name in read_manifest(out).files:
            (out / name).unlink(missing_ok=True)
        (out / MANIFEST_FILE).unlink()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in sorted(files, key=lambda each: each.name == MANIFEST_FILE):
        place = out / path.relative_to(folder)
        place.parent.mkdir(exist_ok=True)
        path.replace(place)
