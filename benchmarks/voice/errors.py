"""What a judgement cannot be made without; each says so to the person at the terminal.

BenchError
└── JudgeFailed
    ├── ListenerMissing   the recogniser is not installed
    └── SourceMissing     flite is not installed
"""

from benchmarks.errors import BenchError


class JudgeFailed(BenchError):
    """The voice could not be judged as it was asked."""


class ListenerMissing(JudgeFailed):
    """There is nobody to hear."""


class SourceMissing(JudgeFailed):
    """There is no natural speech to compare with."""
