"""One request through a target, as the load generator makes it."""

import time

from benchmarks.record import Journal, RequestRecord
from benchmarks.targets.base import Ask, Target
from telephony.format import TELEPHONE, AudioFormat


async def request(
    target: Target, text: str = "Hello there.", audio_format: AudioFormat = TELEPHONE
) -> RequestRecord:
    """Open, ask once, close."""
    origin_ns = time.monotonic_ns()
    journal = Journal(audio_format, lambda: time.monotonic_ns() - origin_ns)
    await target.open()
    try:
        verdict = await target.request(Ask(0, text), journal)
    finally:
        await target.close()
    return journal.close(0, True, len(text), 0, 0, verdict)
