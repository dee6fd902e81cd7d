"""Capacity of the telephone line: paced RTP calls of one process, playing audio that is ready.

The engine has no part in it. A sender process plays N calls on one ticker, a receiver process stamps every
packet as it arrives; this module starts both and works out how late each packet was against the deadline
of its own call. METHODOLOGY.md, "The line".
"""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.errors import LineFailed
from benchmarks.machine import Machine

SWEEP = (100, 250, 500, 1_000, 2_000)
MAX_CALLS = 4_000
"""Each call takes a pair of the 8,192 pairs of RTP ports."""

MAX_SECONDS = 40.0
"""A call's playout holds a minute, and setting up takes some of it."""

LATE_MS = 5.0
"""A line holds while 99 % of its packets are no later than this, a quarter of their ptime."""

_PACKETS_PER_S = 50
_SETUP_S = 60
_NS_PER_SAMPLE = 125_000  # at 8 kHz
_NS_PER_MS = 1e6
_NS_PER_S = 1e9
_NO_NS = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class LinePoint:
    """So many calls at once, and how late their packets were."""

    calls: int
    window_s: float
    packets: int
    lost: int
    """Gaps in the sequence numbers, without those that the receiver itself dropped."""
    receiver_dropped: int
    reordered: int
    silent_calls: int
    """Calls of which nothing came."""
    late_p50_ms: float
    late_p99_ms: float
    late_p999_ms: float
    late_max_ms: float
    over_20_ms: float
    """Share of packets more than a whole ptime late."""
    gap_p1_ms: float
    gap_p99_ms: float
    gap_max_ms: float
    sender_cores: float
    """CPU seconds of the sending process in each second."""
    receiver_cores: float
    underruns: int
    skipped: int
    """Frames that the ticker left out, because it came too late for them."""
    sender_dropped: int
    """By the socket buffers of the sender, or refused by the network."""
    loop: str

    @property
    def holds(self) -> bool:
        """Whether a telephone would be content."""
        spoiled = self.lost + self.silent_calls + self.underruns + self.skipped + self.sender_dropped
        return spoiled == 0 and self.late_p99_ms <= LATE_MS


@dataclass(frozen=True, slots=True)
class LineRun:
    """line.json, whole."""

    schema: str
    version: int
    began: str
    machine: Machine
    load_average: float
    points: tuple[LinePoint, ...]

    @property
    def doubts(self) -> tuple[str, ...]:
        """Reasons to distrust it."""
        busy = self.load_average > self.machine.cores / 2
        said = f"the machine was busy before the run: load average {self.load_average:.2f}"
        return (said,) if busy else ()


def measure_line(calls: int, seconds: float) -> LinePoint:
    """Play so many calls for so long. Raises LineFailed when one of the processes ends early."""
    if not 1 <= calls <= MAX_CALLS or not 0 < seconds <= MAX_SECONDS:
        raise LineFailed(f"{calls} calls for {seconds:g} s: at most {MAX_CALLS} for {MAX_SECONDS:g} s")
    capacity = int(calls * _PACKETS_PER_S * (seconds + _SETUP_S))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "packets.npy"
        with _process("line_receiver", str(capacity), str(path)) as receiver:
            port = _read_line(receiver, "line_receiver")
            with _process("line_sender", str(calls), port, str(seconds)) as sender:
                work = json.loads(_read_line(sender, "line_sender"))
            assert receiver.stdin is not None, "it was opened with pipes"
            receiver.stdin.close()
            heard = json.loads(_read_line(receiver, "line_receiver"))
        return analyse(np.load(path), work, heard)


def analyse(packets: NDArray[Any], work: dict[str, Any], heard: dict[str, Any]) -> LinePoint:
    """Pure: what the packets (n,) of capture.PACKET say, given what the sender and the receiver said."""
    starts = dict(work["starts"])
    window_s = (work["to_ns"] - work["from_ns"]) / _NS_PER_S
    calls = [
        _CallPackets.of(group, starts[ssrc], work["from_ns"], work["to_ns"])
        for ssrc, group in _by_call(packets)
        if ssrc in starts
    ]
    late_ms = np.concatenate([_NO_NS, *(call.late_ns for call in calls)]) / _NS_PER_MS
    gap_ms = np.concatenate([_NO_NS, *(call.gap_ns for call in calls)]) / _NS_PER_MS
    lost = sum(call.lost for call in calls)
    return LinePoint(
        calls=len(starts),
        window_s=window_s,
        packets=len(late_ms),
        lost=max(0, lost - heard["dropped"]),
        receiver_dropped=heard["dropped"],
        reordered=sum(call.reordered for call in calls),
        silent_calls=len(starts) - sum(len(call.late_ns) > 0 for call in calls),
        late_p50_ms=_percentile(late_ms, 50),
        late_p99_ms=_percentile(late_ms, 99),
        late_p999_ms=_percentile(late_ms, 99.9),
        late_max_ms=_percentile(late_ms, 100),
        over_20_ms=float((late_ms > 20).mean()) if len(late_ms) else 0.0,
        gap_p1_ms=_percentile(gap_ms, 1),
        gap_p99_ms=_percentile(gap_ms, 99),
        gap_max_ms=_percentile(gap_ms, 100),
        sender_cores=work["cpu_s"] / window_s,
        receiver_cores=heard["cpu_s"] / (window_s + 1),
        underruns=work["underruns"],
        skipped=work["skipped"],
        sender_dropped=work["dropped"],
        loop=work["loop"],
    )


@dataclass(frozen=True, slots=True)
class _CallPackets:
    """One call's packets inside the window."""

    late_ns: NDArray[np.int64]
    gap_ns: NDArray[np.int64]
    lost: int
    reordered: int

    @classmethod
    def of(cls, packets: NDArray[Any], start_ns: int, from_ns: int, to_ns: int) -> "_CallPackets":
        """`packets` are of one SSRC in the order of arrival; the marked one was due at `start_ns`."""
        marked = np.flatnonzero(packets["marker"])
        if not len(marked):
            return cls(_NO_NS, _NO_NS, 0, 0)
        # In the packets' own unsigned width, so that wrap-around undoes itself.
        ahead = (packets["timestamp"] - packets["timestamp"][marked[0]]).view(np.int32).astype(np.int64)
        due_ns = start_ns + ahead * _NS_PER_SAMPLE
        inside = (due_ns >= from_ns) & (due_ns < to_ns)
        sequence = (packets["sequence"] - packets["sequence"][marked[0]])[inside].astype(np.int64)
        expected = int(sequence.max() - sequence.min()) + 1 if len(sequence) else 0
        at_ns = packets["at_ns"][inside]
        return cls(
            at_ns - due_ns[inside],
            np.diff(at_ns),
            expected - len(np.unique(sequence)),
            int((np.diff(sequence) < 0).sum()),
        )


def _by_call(packets: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    order = np.argsort(packets["ssrc"], kind="stable")
    grouped = packets[order]
    borders = np.flatnonzero(np.diff(grouped["ssrc"])) + 1
    for group in np.split(grouped, borders):
        if len(group):
            yield int(group["ssrc"][0]), group


def _percentile(values: NDArray[Any], percent: float) -> float:
    """Nearest rank, as everywhere."""
    return float(np.percentile(values, percent, method="inverted_cdf")) if len(values) else 0.0


@contextlib.contextmanager
def _process(module: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", f"benchmarks.targets.{module}", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
            if process.wait(_SETUP_S):
                raise LineFailed(f"{module} ended with {process.returncode}")
        finally:
            process.kill()


def _read_line(process: "subprocess.Popen[str]", module: str) -> str:
    stdout: IO[str] | None = process.stdout
    assert stdout is not None, "it was opened with pipes"
    line = stdout.readline()
    if not line:
        raise LineFailed(f"{module} ended before its part was done; what it said is above")
    return line.strip()


def format_line(points: Sequence[LinePoint]) -> str:
    """The table for the terminal."""
    head = f"{'calls':>6} {'packets':>9} {'lost':>5} {'late p50':>9} {'p99':>8} {'p99.9':>8} {'max':>8}"
    head += f" {'gap p99':>8} {'cores':>6} {'skipped':>8} {'underruns':>10}  holds"
    rows = [
        f"{p.calls:>6} {p.packets:>9} {p.lost:>5} {p.late_p50_ms:>6.2f} ms {p.late_p99_ms:>5.2f} ms"
        f" {p.late_p999_ms:>5.1f} ms {p.late_max_ms:>5.1f} ms {p.gap_p99_ms:>5.1f} ms"
        f" {p.sender_cores:>6.2f} {p.skipped:>8} {p.underruns:>10}  {'yes' if p.holds else 'no'}"
        for p in points
    ]
    return "\n".join([head, *rows])
