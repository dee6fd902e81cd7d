"""The outbox keeps one order, forgets audio alone, and gives up on a client that takes nothing."""

import asyncio

import pytest

from server.outbox import ROOM_MESSAGES, Outbox, Outgoing, SlowReader

MS = 0.001


class Client:
    """What an outbox sends to: takes one message for each ``admit``, or everything."""

    def __init__(self, open_wide: bool = False) -> None:
        self.taken: list[str | bytes] = []
        self._turns = asyncio.Semaphore(1 << 30 if open_wide else 0)

    async def take(self, body: str | bytes) -> None:
        await self._turns.acquire()
        self.taken.append(body)

    def admit(self, messages: int = 1) -> None:
        for _ in range(messages):
            self._turns.release()


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


def frame(number: int) -> Outgoing:
    return Outgoing(b"%d" % number, frames=1)


async def test_messages_are_sent_in_the_order_they_were_put() -> None:
    client = Client(open_wide=True)
    outbox = Outbox(client.take, 100, 1)
    running = asyncio.create_task(outbox.run())
    for number in range(5):
        outbox.put(frame(number))
        outbox.put(Outgoing(f"control {number}"))
    outbox.close()
    await running
    assert client.taken == [each for n in range(5) for each in (b"%d" % n, f"control {n}")]


async def test_dropping_forgets_audio_alone_and_counts_its_frames() -> None:
    client = Client()
    outbox = Outbox(client.take, 100, 1)
    running = asyncio.create_task(outbox.run())
    outbox.put(frame(0))
    await settle()  # the first is on its way and beyond recall
    outbox.put(Outgoing("marks"))
    outbox.put(Outgoing(b"three", frames=3))
    outbox.put(frame(2))
    assert outbox.drop_audio() == 4
    assert outbox.drop_audio() == 0
    outbox.put(Outgoing("cleared"))
    outbox.close()
    client.admit(10)
    await running
    assert client.taken == [b"0", "marks", "cleared"]


async def test_a_closed_outbox_sends_what_it_has_and_takes_nothing_more() -> None:
    client = Client(open_wide=True)
    outbox = Outbox(client.take, 100, 1)
    outbox.put(Outgoing("last"))
    outbox.close()
    outbox.put(Outgoing("late"))
    await outbox.run()
    assert client.taken == ["last"]


async def test_a_client_that_takes_nothing_in_time_is_given_up() -> None:
    outbox = Outbox(Client().take, 100, 20 * MS)
    outbox.put(Outgoing("stuck"))
    with pytest.raises(SlowReader):
        await asyncio.wait_for(outbox.run(), 1)


async def test_time_counts_for_each_message_anew() -> None:
    client = Client()
    outbox = Outbox(client.take, 100, 60 * MS)
    for number in range(4):
        outbox.put(frame(number))
    outbox.close()
    running = asyncio.create_task(outbox.run())
    for _ in range(4):
        await asyncio.sleep(30 * MS)
        client.admit()
    await running
    assert len(client.taken) == 4


async def test_past_its_bound_it_is_given_up_at_once() -> None:
    client = Client(open_wide=True)
    outbox = Outbox(client.take, 3, 1)
    for number in range(4):
        outbox.put(frame(number))
    with pytest.raises(SlowReader):
        await outbox.run()
    assert client.taken == []


async def test_room_ends_when_too_much_waits_and_comes_back_when_it_is_sent() -> None:
    client = Client()
    outbox = Outbox(client.take, 100, 1)
    running = asyncio.create_task(outbox.run())
    for number in range(ROOM_MESSAGES + 3):
        outbox.put(frame(number))
    await settle()
    waiting = asyncio.create_task(outbox.room())
    await settle()
    assert not waiting.done()
    client.admit(ROOM_MESSAGES + 3)
    await asyncio.wait_for(waiting, 1)
    running.cancel()


async def test_dropping_makes_room() -> None:
    client = Client()
    outbox = Outbox(client.take, 100, 1)
    running = asyncio.create_task(outbox.run())
    for number in range(ROOM_MESSAGES + 3):
        outbox.put(frame(number))
    await settle()
    outbox.drop_audio()
    await asyncio.wait_for(outbox.room(), 1)
    running.cancel()


async def test_cancelling_run_is_not_a_slow_reader() -> None:
    outbox = Outbox(Client().take, 100, 10)
    outbox.put(Outgoing("waiting"))
    running = asyncio.create_task(outbox.run())
    await settle()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_an_error_of_the_connection_comes_out_of_run() -> None:
    async def lost(body: str | bytes) -> None:
        raise ConnectionResetError

    outbox = Outbox(lost, 100, 1)
    outbox.put(Outgoing("lost"))
    with pytest.raises(ConnectionResetError):
        await outbox.run()
