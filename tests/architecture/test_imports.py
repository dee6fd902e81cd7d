"""Who may import whom, as the house has it; a new file falls under the rules by where it lies."""

import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.architecture.sources import PACKAGES, Import, Source, sources

ENGINES_FACE = {
    "engines",
    "engines.config",
    "engines.contract",
    "engines.errors",
    "engines.rates",
    # Voices from outside: their files, their names, and enrolling without a server.
    "engines.chatterbox.open",
    "engines.pocket",
    "engines.voices.files",
    "engines.voices.library",
    "engines.voices.loudness",
    "engines.voices.resample",
}

SEES: Mapping[str, set[str]] = {
    "engines": set(),
    "telephony": set(),
    "server": {"engines", "telephony"},
    "benchmarks": {"engines", "telephony"},  # never server: it measures over the wire
    "export": {"engines"},
}
"""The other packages that a package may import."""

EXPORT_SEES = (
    "engines.nets",
    "engines.backends.signature",
    "engines.backends.manifest",
    "engines.backends.runner",
    # Speech in windows against speech in one piece takes the lane that speaks in windows.
    "engines.backends.base",
    "engines.backends.pytorch",
    "engines.chatterbox.audio",
    "engines.config",
    "engines.scheduler.chunking",
    "engines.errors",
    "engines.model",
    "engines.rates",
    "engines.voices",
    # The pocket voice learns to read texts and to render noise as the engine gives them to it.
    "engines.noise",
    "engines.sampling",
    "engines.text",
)

VOICE_SEES = (
    # The judge of a voice hears each stage by itself, and natural speech is what export.pocket trains on.
    "engines.backends.base",
    "engines.backends.signature",
    "engines.chatterbox.open",
    "engines.config",
    "engines.contract",
    "engines.engine",
    "engines.errors",
    "engines.nets.build",
    "engines.noise",
    "engines.rates",
    "engines.scheduler.chunking",
    "engines.voices.features",
    "engines.voices.resample",
    "export.pocket",
)
"""What benchmarks/voice may import of other packages but telephony."""

LIBRARIES: Mapping[str, set[str]] = {
    "telephony/": {"numpy"},
    "engines/": {"numpy"},
    "engines/text/": {"numpy"},
    "engines/config.py": {"tomli"},
    "engines/text/tokenizer.py": {"numpy", "tokenizers"},
    "engines/nets/": {"numpy", "safetensors"},
    "engines/voices/files.py": {"numpy", "safetensors"},
    "engines/voices/resample.py": {"numpy", "soxr"},
    "server/": {
        "av",
        "click",
        "fastapi",
        "numpy",
        "prometheus_client",
        "pydantic",
        "pydantic_core",
        "pydantic_settings",
        "starlette",
        "tqdm",
        "uvicorn",
        "uvloop",
        "websockets",
    },
    "benchmarks/": {"click", "httpx", "numpy", "tqdm", "uvloop", "websockets"},
    "benchmarks/voice/hearing.py": {"numpy", "pocketsphinx"},
    # Run by the reference's Python.
    "benchmarks/ask_reference.py": {"chatterbox", "safetensors", "transformers"},
    "export/": {"click", "numpy", "onnx", "safetensors", "tokenizers", "tqdm"},
    "export/pocket/corpus.py": {"numpy", "soxr", "tqdm"},
    "export/fetch.py": {"huggingface_hub", "tqdm"},
}
"""Third-party libraries by place; the longest matching place counts."""

_JUDGES = ("benchmarks/ask_reference.py", "benchmarks/voice/vocoding.py")

RUNTIMES: Mapping[str, tuple[str, ...]] = {
    "torch": ("engines/nets/", "engines/backends/pytorch.py", "export/", *_JUDGES),
    "onnxruntime": ("engines/backends/onnxrt.py", "export/"),
    "tensorrt": ("engines/backends/tensorrt.py", "export/"),
    "vllm": ("engines/backends/vllm.py",),
    "espeakng_loader": ("engines/backends/preview.py",),
}
"""Optional runtimes, each confined to its own files."""

CONCURRENCY = {"asyncio", "concurrent", "multiprocessing", "selectors", "socket", "socketserver", "threading"}
SHELLS = (
    "telephony/net/",
    "server/",
    "engines/loop.py",
    "engines/engine.py",
    "engines/stream.py",
    "benchmarks/targets/",
    "benchmarks/cli.py",
    "benchmarks/voice/hearing.py",  # listeners in processes of their own
    "benchmarks/voice/speaking.py",
    "export/pocket/corpus.py",  # shards in processes of their own
)
LOCKS_ALONE = (
    "engines/backends/preview.py",  # espeak-ng's state is the process's
    "engines/backends/onnxrt.py",  # a graph is opened once, whoever asks first
    "engines/backends/pytorch.py",
    "engines/voices/library.py",  # read by the engine's thread and the server's
)


def first_party() -> set[str]:
    return {source.module for source in sources()}


def imported_module(each: Import, modules: Iterable[str]) -> str:
    """What is imported, to the module: `from engines import config` imports engines.config."""
    submodule = f"{each.module}.{each.name}"
    return submodule if submodule in modules else each.module


def breaks_layers(each: Import, modules: Iterable[str]) -> bool:
    package = each.path.split("/")[0]
    if each.top == package or each.top not in PACKAGES:
        return False
    module = imported_module(each, modules)
    if each.path.startswith("benchmarks/voice/"):
        return each.top != "telephony" and not module.startswith(VOICE_SEES)
    if each.top not in SEES[package]:
        return True
    if package == "export":
        return not module.startswith(EXPORT_SEES)
    if package == "benchmarks" and each.top == "engines" and not each.path.startswith("benchmarks/targets/"):
        return True
    return each.top == "engines" and module not in ENGINES_FACE


def breaks_libraries(each: Import) -> bool:
    if each.top in PACKAGES or each.top in sys.stdlib_module_names:
        return False
    if each.top in RUNTIMES:
        return not each.path.startswith(RUNTIMES[each.top])
    place = max((place for place in LIBRARIES if each.path.startswith(place)), key=len)
    return each.top not in LIBRARIES[place]


def breaks_concurrency(each: Import) -> bool:
    if each.top not in CONCURRENCY or each.path.startswith(SHELLS):
        return False
    return not (each.path in LOCKS_ALONE and (each.module, each.name) == ("threading", "Lock"))


def all_imports() -> Iterator[Import]:
    for source in sources():
        yield from source.imports()


def test_imports_are_absolute() -> None:
    assert [str(each) for each in all_imports() if each.module.startswith(".")] == []


def test_packages_see_only_whom_they_may() -> None:
    modules = first_party()
    assert [str(each) for each in all_imports() if breaks_layers(each, modules)] == []


def test_libraries_are_imported_only_where_they_belong() -> None:
    assert [str(each) for each in all_imports() if breaks_libraries(each)] == []


def test_threads_sockets_and_asyncio_stay_in_the_shells() -> None:
    assert [str(each) for each in all_imports() if breaks_concurrency(each)] == []


def test_modules_import_each_other_in_no_cycle() -> None:
    modules = first_party()
    graph = {
        source.module: {imported_module(each, modules) for each in source.imports()}
        & modules - {source.module}
        for source in sources()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("telephony/rtp.py", "import engines"),
        ("telephony/rtp.py", "from engines import rates"),
        ("telephony/rtp.py", "from server.call import Call"),
        ("telephony/rtp.py", "import scipy.signal"),
        ("telephony/sender.py", "from asyncio import sleep"),
        ("telephony/sender.py", "def f():\n    import socket"),
        ("engines/loop.py", "from telephony.format import PTIME_MS"),
        ("engines/voices/voice.py", "import torch"),
        ("engines/scheduler/policy.py", "import threading"),
        ("engines/backends/onnxrt.py", "import tensorrt"),
        ("engines/scheduler/policy.py", "import num2words"),
        ("engines/loop.py", "import espeakng_loader"),
        ("engines/backends/preview.py", "from threading import Thread"),
        ("server/app.py", "from engines.scheduler import Scheduler"),
        ("server/app.py", "from engines import loop"),
        ("server/app.py", "import torch"),
        ("server/app.py", "from benchmarks.targets import load"),
        ("benchmarks/metrics.py", "from engines import EngineConfig"),
        ("benchmarks/metrics.py", "import asyncio"),
        ("benchmarks/targets/loop.py", "from server.app import make_app"),
        ("benchmarks/targets/loop.py", "from engines.loop import EngineLoop"),
        ("benchmarks/targets/loop.py", "from export.pocket import corpus"),
        ("benchmarks/voice/judge.py", "from export.fetch import fetch"),
        ("benchmarks/voice/judge.py", "from server.app import make_app"),
        ("benchmarks/voice/judge.py", "import pocketsphinx"),
        ("export/onnx.py", "from engines.engine import SpeechEngine"),
        ("export/onnx.py", "from telephony.format import PTIME_MS"),
    ],
)
def test_the_rules_catch(path: str, line: str) -> None:
    assert any(is_refused(each) for each in Source(path, line).imports())


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("telephony/net/udp.py", "import asyncio, socket"),
        ("telephony/resample.py", "import numpy as np"),
        ("engines/nets/t3.py", "import torch.nn as nn"),
        ("engines/backends/vllm.py", "def open_backend():\n    import vllm"),
        ("engines/backends/preview.py", "from threading import Lock"),
        ("engines/config.py", "import tomli as tomllib"),
        ("server/call.py", "from engines import SpeechEngine, rates"),
        ("server/call.py", "from telephony import playout"),
        ("benchmarks/targets/loop.py", "from engines import open_engine"),
        ("benchmarks/voice/natural.py", "from export.pocket import corpus"),
        ("export/onnx.py", "from engines.nets.t3 import T3\nimport torch"),
    ],
)
def test_the_rules_let_pass(path: str, line: str) -> None:
    assert not any(is_refused(each) for each in Source(path, line).imports())


def is_refused(each: Import) -> bool:
    modules = first_party() | {"engines.rates", "engines.loop"}
    return breaks_layers(each, modules) or breaks_libraries(each) or breaks_concurrency(each)


def loaded_by(module: str) -> set[str]:
    """Names of all modules that a fresh interpreter holds after importing one."""
    ask = f"import {module}, sys; sys.stdout.write(' '.join(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    return set(answer.stdout.split())


@pytest.mark.parametrize("package", ["engines", "telephony", "server"])
def test_importing_a_package_loads_no_runtime(package: str) -> None:
    tops = {module.split(".")[0] for module in loaded_by(package)}
    assert tops & {*RUNTIMES, "scipy", "pandas", "transformers", "onnx", "av", "fastapi"} == set()


def test_importing_engines_loads_numpy_and_nothing_else_from_outside() -> None:
    loaded = loaded_by("engines")
    tops = {module.split(".")[0] for module in loaded if not module.startswith("_")}
    bare = {module.split(".")[0] for module in loaded_by("numpy")}
    assert tops - bare - sys.stdlib_module_names <= {"engines", "tomli"}
    assert not [module for module in loaded if module.startswith("engines.backends.preview")]
