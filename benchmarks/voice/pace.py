"""First audio and real-time factor on ONE core: the engine in a process that may use no other."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.voice.errors import JudgeFailed
from benchmarks.voice.verdict import Timed
from benchmarks.voice.ways import STREAMED, Setup

UTTERANCES = 24
_TIMEOUT_S = 1_800
_NO_LIMIT = 100_000  # speech tokens: trained weights stop by themselves
_ON_ONE_CORE = """\
import os, runpy
os.sched_setaffinity(0, {{{core}}})
runpy.run_module("benchmarks.targets.model_run", run_name="__main__")
"""


def time_way(setup: Setup, way: str, texts: Sequence[str]) -> tuple[Timed, ...]:
    """Each text streamed, one after another, on the last core that this process may use; Linux alone.

    The seconds of the first are those of a process that has spoken once before. Raises JudgeFailed.
    """
    core = max(os.sched_getaffinity(0))
    job = {
        "profile": "balanced",
        "config": setup.settings(way, STREAMED, threads=1),
        "utterances": [{"text": text, "tokens": _NO_LIMIT} for text in texts],
    }
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _ON_ONE_CORE.format(core=core)],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        env=environment,
    )
    if done.returncode:
        raise JudgeFailed(f"{way} could not be timed: {done.stderr[-1_000:]}")
    timed = json.loads(done.stdout.splitlines()[-1])["utterances"]
    return tuple(Timed(way=way, **{key: each[key] for key in _TIMES}) for each in timed)


_TIMES = ("first_audio_s", "total_s", "audio_s", "t3_s", "s3gen_s")
