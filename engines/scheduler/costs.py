"""What steps have cost lately, so that deadlines keep a reserve that is measured, not guessed."""

from engines.scheduler.policy import StepKind

_SMOOTHING = 0.1
_MARGIN = 2  # steps on a shared machine cost up to about twice their mean


class StepCosts:
    """Smoothed cost of each kind of step."""

    def __init__(self, min_reserve_ns: int) -> None:
        self._min_reserve_ns = min_reserve_ns
        self._cost_ns = dict.fromkeys(StepKind, 0.0)
        self._update_reserves()

    def record(self, kind: StepKind, cost_ns: int) -> None:
        self._cost_ns[kind] += (cost_ns - self._cost_ns[kind]) * _SMOOTHING
        self._update_reserves()

    def reserve_ns(self, kind: StepKind, missing_tokens: int) -> int:
        """Time from starting ``kind`` until audio is out, ``missing_tokens`` decodes away."""
        return self._reserve_ns[kind] + missing_tokens * self._token_ns

    def _update_reserves(self) -> None:
        window_ns, prefill_ns, decode_ns = (_MARGIN * int(cost_ns) for cost_ns in self._cost_ns.values())
        base_ns = self._min_reserve_ns + window_ns
        self._reserve_ns = {
            StepKind.WINDOW: base_ns,
            StepKind.PREFILL: base_ns + prefill_ns,
            StepKind.DECODE: base_ns,
        }
        self._token_ns = decode_ns
