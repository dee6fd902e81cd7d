"""Where a run was made: enough to see that two runs are not comparable."""

import contextlib
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

_GIT_TIMEOUT_S = 5


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine that ran the load generator, and the working tree it ran from."""

    cpu: str
    cores: int
    """That this process may use."""
    memory_mib: int
    gpus: tuple[str, ...]
    system: str
    python: str
    commit: str
    """Empty outside a git checkout; ends in "+" when files differed from it."""


def inspect_machine() -> Machine:
    """Look once. What cannot be found out is empty or 0."""
    return Machine(
        cpu=_cpu(Path("/proc/cpuinfo")),
        cores=_cores(),
        memory_mib=_memory_mib(),
        gpus=_gpus(Path("/proc/driver/nvidia/gpus")),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        commit=_commit(Path(__file__).parent),
    )


def load_average() -> float:
    """Runnable processes over the last minute: others' work shows here, before a run begins."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def _cpu(cpuinfo: Path) -> str:
    with contextlib.suppress(OSError):
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0


def _memory_mib() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // (1 << 20)
    except (ValueError, OSError, AttributeError):
        return 0


def _gpus(folder: Path) -> tuple[str, ...]:
    names = []
    with contextlib.suppress(OSError):
        for each in sorted(folder.iterdir()):
            lines = (each / "information").read_text().splitlines()
            names += [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    return tuple(names)


def _commit(folder: Path) -> str:
    commit = _git(folder, "rev-parse", "--short=12", "HEAD")
    return commit + "+" if commit and _git(folder, "status", "--porcelain") else commit


def _git(folder: Path, *arguments: str) -> str:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_S,
            check=True,
        )
        return done.stdout.strip()
    return ""
