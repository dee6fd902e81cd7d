"""Which work the engine does next, decided in pure code: no I/O, no clock, no threads."""

from engines.scheduler.scheduler import Scheduler
from engines.scheduler.step import DecodeStep, PrefillStep, Step, WindowStep

__all__ = ["DecodeStep", "PrefillStep", "Scheduler", "Step", "WindowStep"]
