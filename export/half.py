"""Nets in float16, except for the islands where float32 is needed.

A net knows its own islands (its method `halve`): norms, whose epsilon of 1e-12 is no float16; softmax;
the pitch and the source, whose phase would drift; the exponential and the ISTFT. The graphs' casts are
written in the nets, so that a graph of a halved net is strongly typed. Voice encoders stay float32: they
run once per voice, and every word it speaks afterwards depends on them.
"""

from typing import Protocol, runtime_checkable

from torch import nn

from engines.backends.signature import S3_CACHED_CHUNK, S3_CHUNK, S3_PROMPT, T3_STEP

HALVED = (T3_STEP, S3_CHUNK, S3_PROMPT, S3_CACHED_CHUNK)
"""Graphs that come in float16."""


@runtime_checkable
class Halving(Protocol):
    """A net that converts itself, for good."""

    def halve(self) -> None: ...


def halve(module: nn.Module) -> None:
    """Convert the nets in ``module``: those that say how by themselves, another but for its norms.

    What was converted stays as it is.
    """
    nets = [part for part in module.modules() if isinstance(part, Halving)]
    for net in nets:
        net.halve()
    if not nets:
        _halve_all_but_norms(module)


def _halve_all_but_norms(module: nn.Module) -> None:
    for part in module.modules():
        if not isinstance(part, nn.LayerNorm):
            for parameter in part.parameters(recurse=False):
                parameter.data = parameter.data.half()
