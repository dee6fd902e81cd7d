"""Every error that benchmarks raises.

BenchError
├── LoadTooLarge    the schedule would exceed a bound; nothing was sent
├── RemoteTarget    the target is not on this machine and nobody allowed that
├── TargetMissing   nothing answers there, or the engine cannot be opened; nothing was measured
├── SchemaError     a result file that is not one of ours, or of another version
└── LineFailed      a process of the line measurement did not do its part
"""


class BenchError(Exception):
    """Base of all errors of this package; the message is for the person at the terminal."""


class LoadTooLarge(BenchError):
    """More requests than one run may hold."""


class RemoteTarget(BenchError):
    """Load is for machines of one's own: refused unless allowed explicitly."""


class TargetMissing(BenchError):
    """There is nothing to measure."""


class SchemaError(BenchError):
    """A result file has an unknown version, an unknown key, a missing key or a wrong type."""


class LineFailed(BenchError):
    """The sender or the receiver of `bench line` ended early; what it said is in the message."""
