import socket
import time
from collections.abc import Iterator

import pytest

from benchmarks.targets.capture import Capture
from tests.fakes.speech_http import SSRC, make_datagrams


@pytest.fixture
def sending() -> Iterator[socket.socket]:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    yield opened
    opened.close()


def test_headers_are_taken_and_stamped_by_the_kernel(sending: socket.socket) -> None:
    capture = Capture(100)
    before_ns = time.monotonic_ns()
    for datagram in make_datagrams("mulaw"):
        sending.sendto(datagram, ("127.0.0.1", capture.port))
    after_ns = time.monotonic_ns()
    time.sleep(0.1)
    capture.drain()
    packets = capture.packets
    assert packets["sequence"].tolist() == [65_534, 65_535, 0, 1, 2]
    assert packets["ssrc"].tolist() == [SSRC] * 5
    assert packets["timestamp"].tolist() == [2**32 - 200, 2**32 - 40, 120, 280, 440]
    assert packets["marker"].tolist() == [False, False, True, False, False]
    assert (packets["at_ns"] > before_ns - 1_000_000).all()
    assert (packets["at_ns"] < after_ns + 1_000_000).all()
    assert capture.dropped() == 0
    capture.close()


def test_more_than_a_batch_is_taken_in_order(sending: socket.socket) -> None:
    capture = Capture(5000)
    datagram = bytearray(make_datagrams("mulaw")[0])
    for sequence in range(2500):
        datagram[2:4] = sequence.to_bytes(2, "big")
        sending.sendto(datagram, ("127.0.0.1", capture.port))
    capture.drain()
    assert capture.packets["sequence"].tolist() == list(range(2500))
    capture.close()


def test_what_is_shorter_than_a_header_is_left_out(sending: socket.socket) -> None:
    capture = Capture(10)
    for datagram in (b"", b"short", make_datagrams("mulaw")[0]):
        sending.sendto(datagram, ("127.0.0.1", capture.port))
    capture.drain()
    assert len(capture.packets) == 1
    capture.close()


def test_no_more_is_kept_than_there_is_room_for(sending: socket.socket) -> None:
    capture = Capture(3)
    for datagram in make_datagrams("mulaw"):
        sending.sendto(datagram, ("127.0.0.1", capture.port))
    capture.drain()
    capture.drain()
    assert len(capture.packets) == 3
    capture.close()
