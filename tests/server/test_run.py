"""What the process is given before it serves."""

import os
import subprocess
import sys

import pytest

from server.run import greeting, take_realtime_priority

LOOK = """
import logging, os, threading
logging.basicConfig(format="%(message)s")
from server.run import take_realtime_priority
take_realtime_priority({priority})
def policy():
    return os.sched_getscheduler(threading.get_native_id()) & ~os.SCHED_RESET_ON_FORK
later = []
thread = threading.Thread(target=lambda: later.append(policy()))
thread.start()
thread.join()
print(policy() == os.SCHED_FIFO, later[0] == os.SCHED_FIFO)
"""


def look(priority: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", LOOK.format(priority=priority)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)


def test_no_priority_is_taken_unless_asked_for() -> None:
    assert look(0).stdout.split() == ["False", "False"]


def test_the_clock_s_thread_takes_the_priority_and_threads_begun_later_do_not() -> None:
    seen = look(10)
    if "no realtime priority" in seen.stderr:
        pytest.skip("this machine grants no realtime priority")
    assert seen.stdout.split() == ["True", "False"]


def test_a_refused_priority_is_logged_and_not_fatal(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(pid: int, policy: int, param: os.sched_param) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    take_realtime_priority(10)
    assert [record.message for record in caplog.records] == ["no realtime priority"]


def test_the_greeting_names_three_things_to_try() -> None:
    text = greeting("http://127.0.0.1:8000", "preview")
    assert "curl -s http://127.0.0.1:8000/v1/audio/speech" in text
    assert "talkspurt say" in text
    assert "http://127.0.0.1:8000/\n" in text
