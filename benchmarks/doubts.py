"""Pure: reasons to distrust a run, said beside its numbers and not in a footnote."""

from collections.abc import Iterator

from benchmarks.results import Run

_LAG_MS = 10.0
_CLIENT_CORES = 0.7
_ENOUGH_FOR_P99 = 100


def doubts(run: Run) -> Iterator[str]:
    """One sentence each."""
    lag_ms = run.summary.distributions["scheduling_lag_ms"].p99
    completed = run.summary.completed
    if run.load_average > run.machine.cores / 2:
        yield f"the machine was busy before the run: load average {run.load_average:.2f}"
    if lag_ms > _LAG_MS:
        yield f"the load generator sent 1 % of its requests {lag_ms:.0f} ms late or later"
    if run.client_cores > _CLIENT_CORES and run.protocol != "engine":
        yield f"the load generator itself used {run.client_cores:.2f} cores: its delays are in the numbers"
    if 0 < completed < _ENOUGH_FOR_P99:
        yield f"p99 of {completed} requests is their maximum: run longer"
