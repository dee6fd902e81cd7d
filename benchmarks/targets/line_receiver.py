"""The receiving process of `bench line`: captures until its standard input ends, then saves.

`python -m benchmarks.targets.line_receiver CAPACITY FILE` writes its port as the first line, and one
JSON object as the second, once it has written the packets to FILE.
"""

import json
import select
import sys
import time

import numpy as np

from benchmarks.targets.capture import Capture

_EVERY_S = 0.005
_GRACE_S = 0.2


def main(capacity: int, path: str) -> None:
    capture = Capture(capacity)
    say(str(capture.port))
    while not select.select([sys.stdin], [], [], 0)[0]:
        capture.drain()
        time.sleep(_EVERY_S)
    time.sleep(_GRACE_S)
    capture.drain()
    dropped = capture.dropped()
    capture.close()
    np.save(path, capture.packets)
    say(json.dumps({"dropped": dropped, "cpu_s": time.process_time()}))


def say(line: str) -> None:
    """One line for the parent, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
