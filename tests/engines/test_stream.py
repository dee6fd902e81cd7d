"""The bounded hand-off: order, ends, errors, and a reader whose loop is gone."""

import asyncio
from threading import Thread

import numpy as np
import pytest

from engines.contract import AudioChunk, FinishReason, TextSpan
from engines.errors import EngineClosed, SpeechFailed
from engines.stream import ChunkStream


def chunk(index: int) -> AudioChunk:
    return AudioChunk(np.full(1, index, np.float32), index, 0, TextSpan(0, 1), False)


def open_stream() -> ChunkStream:
    return ChunkStream(asyncio.get_running_loop())


async def read(stream: ChunkStream) -> list[int]:
    positions = []
    while (each := await stream.next()) is not None:
        positions.append(each.first_sample)
    return positions


async def test_chunks_come_in_order_and_then_the_end() -> None:
    stream = open_stream()
    for index in range(3):
        stream.publish(chunk(index))
    assert stream.finish_reason is None
    stream.end(FinishReason.COMPLETED)
    assert await read(stream) == [0, 1, 2]
    assert stream.finish_reason is FinishReason.COMPLETED


@pytest.mark.parametrize("reason", [FinishReason.COMPLETED, FinishReason.CANCELLED])
async def test_after_the_end_every_read_is_the_end(reason: FinishReason) -> None:
    stream = open_stream()
    stream.end(reason)
    assert [await stream.next(), await stream.next()] == [None, None]


async def test_a_waiting_reader_is_woken_from_another_thread() -> None:
    stream = open_stream()

    def write() -> None:
        stream.publish(chunk(0))
        stream.publish(chunk(1))
        stream.end(FinishReason.COMPLETED)

    reader = asyncio.create_task(read(stream))
    await asyncio.sleep(0)
    writer = Thread(target=write)
    writer.start()
    assert await reader == [0, 1]
    writer.join()


async def test_a_failure_is_raised_after_the_audio_before_it_and_every_time() -> None:
    stream = open_stream()
    stream.publish(chunk(0))
    stream.end(FinishReason.FAILED, "the GPU is on fire")
    assert await stream.next() is not None
    for _ in range(2):
        with pytest.raises(SpeechFailed, match="the GPU is on fire"):
            await stream.next()
    assert stream.finish_reason is FinishReason.FAILED


async def test_a_stopping_engine_ends_a_stream_with_engine_closed() -> None:
    stream = open_stream()
    reader = asyncio.create_task(stream.next())
    await asyncio.sleep(0)
    stream.close()
    with pytest.raises(EngineClosed):
        await reader
    assert stream.finish_reason is FinishReason.CANCELLED


async def test_a_stopping_engine_changes_nothing_for_a_stream_that_has_ended() -> None:
    stream = open_stream()
    stream.end(FinishReason.COMPLETED)
    stream.close()
    assert await stream.next() is None
    assert stream.finish_reason is FinishReason.COMPLETED


async def test_a_cancelled_read_loses_no_chunk() -> None:
    stream = open_stream()
    reader = asyncio.create_task(stream.next())
    await asyncio.sleep(0)
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    stream.publish(chunk(0))
    stream.end(FinishReason.COMPLETED)
    assert await read(stream) == [0]


def test_writing_for_a_reader_whose_loop_is_closed_is_no_error() -> None:
    async def leave() -> ChunkStream:
        return open_stream()

    stream = asyncio.run(leave())
    stream.publish(chunk(0))
    stream.end(FinishReason.COMPLETED)
    stream.close()
    assert stream.finish_reason is FinishReason.COMPLETED
