"""The only thread: commands in, then plan, run, commit, deliver, and again."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

from engines.backends.base import Backend, Voice
from engines.contract import FinishReason, SpokenSegment, StepRecord
from engines.rates import NS_PER_SECOND
from engines.scheduler import DecodeStep, PrefillStep, Scheduler, Step
from engines.scheduler.step import ChunkReady, Event, SlotReleased, UtteranceEnded, split

log = logging.getLogger("talkspurt.engine")


@dataclass(frozen=True, slots=True)
class Admit:
    utterance_id: int
    voice: Voice
    seed: int


@dataclass(frozen=True, slots=True)
class AddSegments:
    utterance_id: int
    segments: tuple[SpokenSegment, ...]


@dataclass(frozen=True, slots=True)
class EndText:
    utterance_id: int


@dataclass(frozen=True, slots=True)
class Consumed:
    utterance_id: int
    samples: int


@dataclass(frozen=True, slots=True)
class Cancel:
    utterance_id: int


@dataclass(frozen=True, slots=True)
class Stop:
    """The last command: nothing after it is carried out."""


Command = Admit | AddSegments | EndText | Consumed | Cancel | Stop


Result = TypeVar("Result")


class EngineLoop:
    """Owns the backend and the scheduler; everyone else sends commands."""

    def __init__(
        self,
        backend: Backend,
        scheduler: Scheduler,
        deliver: Callable[[ChunkReady | UtteranceEnded], None],
        observe: Callable[[StepRecord], None],
        stopped: Callable[[], None],
    ) -> None:
        self._backend = backend
        self._scheduler = scheduler
        self._deliver = deliver
        self._observe = observe
        self._stopped = stopped
        self._commands: SimpleQueue[Command] = SimpleQueue()
        self._thread = Thread(target=self._run, name="talkspurt-engine", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def send(self, command: Command) -> None:
        """Thread-safe; carried out between two steps, in order."""
        self._commands.put(command)

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread to end after Stop; False when it did not."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._serve()
        except Exception:  # a bug of ours: say so once, and leave no reader waiting
            log.exception("engine thread died")
        finally:
            self._stopped()

    def _serve(self) -> None:
        idle = True
        while self._obey_commands(wait=idle):
            step = self._scheduler.plan(time.monotonic_ns())
            idle = step is None
            if step is not None:
                self._emit(self._carry_out(step))

    def _obey_commands(self, wait: bool) -> bool:
        """Take what has been sent; with nothing to do, wait for something. False: stop."""
        while wait or not self._commands.empty():
            wait = False
            command = self._commands.get()
            if isinstance(command, Stop):
                return False
            self._emit(self._obey(command))
        return True

    def _obey(self, command: Command) -> list[Event]:
        if isinstance(command, Consumed):
            self._scheduler.consumed(command.utterance_id, command.samples)
            return []
        if isinstance(command, AddSegments):
            self._scheduler.add_segments(command.utterance_id, command.segments)
            return []
        if isinstance(command, Admit):
            admitted = self._scheduler.admit(
                command.utterance_id, command.voice, command.seed, time.monotonic_ns()
            )
            assert admitted, "the engine counts places before it sends Admit"
            return []
        if isinstance(command, EndText):
            return self._scheduler.end_text(command.utterance_id)
        assert isinstance(command, Cancel), "Stop is handled by the caller"
        return self._scheduler.cancel(command.utterance_id, FinishReason.CANCELLED)

    def _carry_out(self, step: Step) -> list[Event]:
        started_ns = time.monotonic_ns()
        try:
            commit = self._call_backend(step)
        except Exception as error:  # whatever a backend may raise: one bad row must not end the others
            if len(step.rows) > 1:
                return [event for alone in split(step) for event in self._carry_out(alone)]
            log.exception("step failed", extra={"utterance_id": step.keys[0].utterance_id})
            return self._scheduler.fail(step, f"{type(error).__name__}: {error}")
        events = commit()
        cost_ns = time.monotonic_ns() - started_ns
        self._scheduler.record_cost(step, cost_ns)
        self._observe(StepRecord(step.kind.name.lower(), len(step.rows), cost_ns / NS_PER_SECOND))
        return events

    def _call_backend(self, step: Step) -> Callable[[], list[Event]]:
        """Run the model; the answer commits what it returned."""
        if isinstance(step, PrefillStep):
            started = _a_row_each(step, self._backend.tokens.start(step.rows))
            return partial(self._scheduler.commit_prefill, step, started)
        if isinstance(step, DecodeStep):
            tokens = _a_row_each(step, self._backend.tokens.step(step.rows))
            return partial(self._scheduler.commit_decode, step, tokens)
        audio = _a_row_each(step, self._backend.synthesizer.synthesize(step.rows))
        return partial(self._scheduler.commit_windows, step, audio, time.monotonic_ns())

    def _emit(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, SlotReleased):
                self._backend.tokens.stop(event.slot, event.state)
            else:
                self._deliver(event)


def _a_row_each(step: Step, results: list[Result]) -> list[Result]:
    if len(results) != len(step.rows):
        raise RuntimeError(f"{len(step.rows)} rows went in and {len(results)} results came out")
    return results
