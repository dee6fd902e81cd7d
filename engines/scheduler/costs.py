"""What steps have cost lately, so that deadlines keep a reserve that is measured, not guessed."""

from engines.scheduler.policy import StepKind

_SMOOTHING = 0.1
_MARGIN = 2  # steps on a shared machine cost up to about twice their mean


class StepCosts:
    """Smoothed cost of each kind of step."""

    def __init__(self, min_reserve_ns: int) -> None:
        self._min_reserve_ns = min_reserve_ns
        self._cost_ns = dict.fromkeys(StepKind, 0.0)

    def record(self, kind: StepKind, cost_ns: int) -> None:
        self._cost_ns[kind] += (cost_ns - self._cost_ns[kind]) * _SMOOTHING

    def reserve_ns(self, kind: StepKind, missing_tokens: int) -> int:
        """Time from starting ``kind`` until audio is out, ``missing_tokens`` decodes away."""
        cost_ns = self._cost_ns[StepKind.WINDOW]
        if kind is not StepKind.WINDOW:
            cost_ns += missing_tokens * self._cost_ns[StepKind.DECODE]
        if kind is StepKind.PREFILL:
            cost_ns += self._cost_ns[StepKind.PREFILL]
        return self._min_reserve_ns + int(_MARGIN * cost_ns)
