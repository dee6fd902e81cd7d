"""`/v1/calls`: what arrives at the other end's UDP ports, and what the routes answer."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import websockets

from engines.errors import InvalidRequest
from server.call import CallState
from server.calls import parse_rtp_target
from telephony.encoder import LineEncoder
from telephony.format import AudioFormat
from telephony.rtp import seq_add, ts_add
from tests.fakes import slow_backend
from tests.server.phone import Phone, open_udp_sockets, port_pair, ringing
from tests.server.running import RunningServer, running_server
from tests.server.waiting import until

TEXT = "It is on Tuesday. "
JSON = {"content-type": "application/json"}
LONG = "The quick brown fox jumps over the lazy dog, and then it goes home to sleep for a very long while. "


@asynccontextmanager
async def calling(**settings: Any) -> AsyncIterator[tuple[RunningServer, httpx.AsyncClient, Phone]]:
    """A server, its client and a phone; afterwards no socket of a call may be left open."""
    async with (
        running_server(**settings) as running,
        httpx.AsyncClient(base_url=running.url, timeout=20) as client,
        ringing() as phone,
    ):
        await client.get("/health")  # the client's own connection stays open
        sockets_before = open_udp_sockets()
        yield running, client, phone
        await until(lambda: not running.services.door.in_use, 15)
        assert open_udp_sockets() == sockets_before, "a call has left a socket"


async def dial(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post("/v1/calls", json=body)
    assert answer.status_code == 201, answer.text
    call: dict[str, Any] = answer.json()
    return call


async def until_over(client: httpx.AsyncClient, call_id: str) -> None:
    async def over() -> bool:
        return (await client.get(f"/v1/calls/{call_id}")).status_code == 404

    await until(over, 15)


# What arrives


async def test_the_call_carries_the_very_bytes_of_http_one_frame_a_packet() -> None:
    async def hear(client: httpx.AsyncClient, phone: Phone, encoding: str, payload_type: int) -> None:
        body = {"input": TEXT, "encoding": encoding}
        wanted = (await client.post("/v1/audio/speech", json=body)).content
        call = await dial(client, to=phone.to, text=TEXT, encoding=encoding)
        await until_over(client, call["call_id"])
        await asyncio.sleep(0.05)
        frames = [packet.payload for packet in phone.talkspurt]
        silence = AudioFormat.of(encoding).silence
        assert b"".join(frames)[: len(wanted)] == wanted
        assert all(frame == silence for frame in frames[len(wanted) // 160 :])
        assert {packet.payload_type for packet in phone.packets} == {payload_type}
        assert {packet.ssrc for packet in phone.packets} == {call["ssrc"]}

    async with calling() as (_, client, phone), ringing() as other:
        await asyncio.gather(hear(client, phone, "mulaw", 0), hear(client, other, "alaw", 8))


async def test_numbers_run_on_without_a_gap_and_one_marker_begins_the_talkspurt() -> None:
    async with calling() as (_, client, phone):
        call = await dial(client, to=phone.to, text=TEXT)
        await until_over(client, call["call_id"])
        await asyncio.sleep(0.05)
    first = phone.packets[0]
    for index, packet in enumerate(phone.packets):
        assert packet.sequence_number == seq_add(first.sequence_number, index)
        assert packet.timestamp == ts_add(first.timestamp, 160 * index)
    assert sum(packet.marker for packet in phone.packets) == 1
    silent = phone.packets[: len(phone.packets) - len(phone.talkspurt)]
    assert all(packet.payload == AudioFormat.of("mulaw").silence for packet in silent)
    assert phone.left == [call["ssrc"]], "one goodbye, at the end"
    assert phone.sent_packets[-1] == len(phone.packets)


async def test_two_calls_have_ssrcs_numbers_and_ports_of_their_own() -> None:
    async with calling() as (_, client, phone), ringing() as other:
        calls = [await dial(client, to=each.to, text="One. ") for each in (phone, other)]
        assert len({call["call_id"] for call in calls}) == 2
        assert len({call["ssrc"] for call in calls}) == 2
        assert len({call["local_port"] for call in calls}) == 2
        for call in calls:
            await until_over(client, call["call_id"])
    assert phone.packets[0].sequence_number != other.packets[0].sequence_number
    assert phone.packets[0].timestamp != other.packets[0].timestamp


async def test_a_phone_that_never_answers_costs_nothing_but_the_call() -> None:
    rtp, rtcp = port_pair()
    port = rtp.getsockname()[1]
    rtp.close()
    rtcp.close()
    async with calling() as (_, client, _):
        call = await dial(client, to=f"rtp:127.0.0.1:{port}", text="One. ")
        await until_over(client, call["call_id"])


# What the routes answer


async def test_the_answer_to_a_call_holds_what_the_other_end_needs() -> None:
    async with calling() as (running, client, phone):
        call = await dial(client, to=phone.to, text=TEXT, encoding="alaw")
        assert call["protocol"] == "rtp"
        assert call["encoding"] == "alaw"
        assert call["voice"] == "default"
        assert call["utterances"] == 1
        assert call["remote"] == f"127.0.0.1:{phone.port}"
        assert call["local_port"] % 2 == 0
        lines = call["sdp"].split("\r\n")
        assert f"m=audio {phone.port} RTP/AVP 8" in lines
        assert "a=rtpmap:8 PCMA/8000" in lines
        assert "a=ptime:20" in lines
        assert "c=IN IP4 127.0.0.1" in lines
        assert running.services.door.in_use == 1
        await client.delete(f"/v1/calls/{call['call_id']}")


async def test_times_to_first_audio_are_told_once_it_has_been_heard() -> None:
    async with calling() as (_, client, phone):
        call = await dial(client, to=phone.to, text=LONG, hang_up=False)
        assert (call["ttfa_ms"], call["engine_ms"]) == (None, None)
        await phone.until_markers()
        now = (await client.get(f"/v1/calls/{call['call_id']}")).json()
        assert 0 < now["engine_ms"] <= now["ttfa_ms"] < 1_000
        assert now["packets"] >= 1
        assert now["state"] == "speaking"
        await client.delete(f"/v1/calls/{call['call_id']}")


async def test_a_call_kept_open_idles_in_silence_and_speaks_what_comes_later() -> None:
    async with calling() as (running, client, phone):
        call = await dial(client, to=phone.to, hang_up=False)
        path = f"/v1/calls/{call['call_id']}"
        assert call["state"] == "idle"
        await phone.until(packets=5)
        assert not any(packet.marker for packet in phone.packets)
        for expected in (1, 2):
            answer = await client.post(f"{path}/text", json={"text": "One. "})
            assert answer.status_code == 202
            assert answer.json()["utterances"] == expected
            await phone.until_markers(expected)
            await until(lambda: running.services.calls[call["call_id"]].state is CallState.IDLE)
            await phone.until(packets=len(phone.packets) + 3)  # silence, or it would be one talkspurt
        assert (await client.get(path)).status_code == 200, "it holds until someone hangs up"
        assert (await client.delete(path)).status_code == 204


async def test_clear_tells_what_was_spoken_and_the_line_falls_silent() -> None:
    async with calling() as (_, client, phone):
        call = await dial(client, to=phone.to, text=LONG, hang_up=False)
        path = f"/v1/calls/{call['call_id']}"
        await phone.until_markers()
        await phone.until(packets=len(phone.packets) + 40)
        answer = await client.post(f"{path}/clear")
        assert answer.status_code == 200
        cleared = answer.json()
        assert cleared["text_spoken"] + cleared["text_not_spoken"] == LONG
        assert cleared["text_spoken"]
        assert cleared["text_not_spoken"]
        assert cleared["played_ms"] == pytest.approx(800, abs=100)
        again = (await client.post(f"{path}/clear")).json()
        assert (again["utterance"], again["text_spoken"], again["text_not_spoken"]) == (None, "", "")
        await client.delete(path)


async def test_hanging_up_in_mid_utterance_says_goodbye_at_once() -> None:
    async with calling() as (running, client, phone):
        call = await dial(client, to=phone.to, text=LONG)
        await phone.until(packets=10)
        assert (await client.delete(f"/v1/calls/{call['call_id']}")).status_code == 204
        await asyncio.sleep(0.1)
        assert phone.left == [call["ssrc"]]
        assert len(phone.packets) < 40
        assert running.services.door.in_use == 0, "the place is free again"
        assert (await client.delete(f"/v1/calls/{call['call_id']}")).status_code == 404


async def test_the_list_holds_calls_of_every_kind_and_a_websocket_call_is_not_hung_up() -> None:
    async with calling() as (running, client, phone):
        assert (await client.get("/v1/calls")).json() == {"calls": []}
        call = await dial(client, to=phone.to, hang_up=False)
        async with websockets.connect(running.stream_url) as connection:
            await connection.send('{"type": "start"}')
            await connection.recv()
            listed = (await client.get("/v1/calls")).json()["calls"]
            assert sorted(each["protocol"] for each in listed) == ["rtp", "websocket"]
            stream_id = next(each["call_id"] for each in listed if each["protocol"] == "websocket")
            answer = await client.delete(f"/v1/calls/{stream_id}")
            assert answer.status_code == 409
            assert answer.json()["error"]["code"] == "conflict"
        await client.delete(f"/v1/calls/{call['call_id']}")


async def test_a_call_that_is_not_there_is_404_on_every_route() -> None:
    async with calling() as (_, client, _):
        for method, path in [
            ("GET", "/v1/calls/none"),
            ("DELETE", "/v1/calls/none"),
            ("POST", "/v1/calls/none/clear"),
            ("POST", "/v1/calls/none/text"),
        ]:
            answer = await client.request(method, path, json={"text": "Hello."} if "text" in path else None)
            assert answer.status_code == 404
            assert answer.json()["error"]["param"] == "call_id"


async def test_a_call_beyond_the_last_place_is_503_and_opens_no_socket() -> None:
    async with calling(places=1) as (_, client, phone):
        call = await dial(client, to=phone.to, hang_up=False)
        sockets = open_udp_sockets()
        answer = await client.post("/v1/calls", json={"to": phone.to, "text": TEXT})
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "full"
        assert int(answer.headers["retry-after"]) >= 1
        assert open_udp_sockets() == sockets
        await client.delete(f"/v1/calls/{call['call_id']}")
        await until_over(client, call["call_id"])
        again = await dial(client, to=phone.to)
        await until_over(client, again["call_id"])


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"to": "rtp:192.0.2.1:5004"}, 403, "to"),
    ({"to": "rtp:[::1]:5004"}, 400, "to"),
    ({"to": "rtp:nowhere.invalid:5004"}, 400, "to"),
    ({"to": "rtp:\x00:5004"}, 400, "to"),
    ({"to": f"rtp:{'a' * 70}.example:5004"}, 400, "to"),
    ({"to": "rtp:" + "a" * 300 + ":5004"}, 400, "to"),
    ({"to": "sip:alice@127.0.0.1"}, 400, "to"),
    ({"text": "word " * 1_000}, 400, "text"),
    ({"text": "Half a pair: \ud800."}, 400, "text"),
    ({"encoding": "pcm16"}, 400, "encoding"),
    ({"encoding": "opus"}, 400, "encoding"),
    ({"voice": "nobody"}, 400, "voice"),
    ({"seed": -1}, 400, "seed"),
    ({"colour": "red"}, 400, "colour"),
    ({"hang_up": "perhaps"}, 400, "hang_up"),
]


async def test_each_wrong_field_is_named_and_leaves_no_place_taken() -> None:
    async with calling() as (running, client, phone):
        for body, status, param in REFUSED:
            content = json.dumps({"to": phone.to, "text": TEXT, **body})  # as ASCII: httpx sends UTF-8
            answer = await client.post("/v1/calls", content=content, headers=JSON)
            assert answer.status_code == status, (body, answer.text)
            assert answer.json()["error"]["param"] == param, body
            assert running.services.door.in_use == 0
        assert (await client.post("/v1/calls", json={"text": TEXT})).json()["error"]["param"] == "to"


async def test_a_network_beyond_loopback_is_served_where_rtp_allow_names_it() -> None:
    async with calling(rtp_allow=["192.0.2.0/24"]) as (_, client, phone):
        refused = await client.post("/v1/calls", json={"to": phone.to, "text": TEXT})
        assert refused.status_code == 403, "loopback is no longer named"
        # 192.0.2.1 cannot be sent to from 127.0.0.1: allowed, then refused by the network.
        answer = await client.post("/v1/calls", json={"to": "rtp:192.0.2.1:5004", "text": TEXT})
        assert answer.status_code in (201, 503)
        if answer.status_code == 201:
            await client.delete(f"/v1/calls/{answer.json()['call_id']}")
        else:
            assert answer.json()["error"]["code"] == "unreachable"


async def test_a_name_is_resolved_to_an_address_of_rtp_hosts_family() -> None:
    async with calling() as (_, client, phone):
        call = await dial(client, to=f"rtp:localhost:{phone.port}", text="One. ")
        assert call["remote"] == f"127.0.0.1:{phone.port}"
        await until_over(client, call["call_id"])


async def test_an_utterance_that_fails_ends_and_the_call_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with slow_backend.install(monkeypatch, fails_in="decode"):
        async with calling(engine="slow") as (_, client, phone):
            call = await dial(client, to=phone.to, text="This is broken. ", hang_up=False)
            await client.post(f"/v1/calls/{call['call_id']}/text", json={"text": "This is whole. "})
            await phone.until_markers()
            await client.delete(f"/v1/calls/{call['call_id']}")


async def test_a_fault_of_ours_ends_its_call_and_frees_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> list[bytes]:
        raise RuntimeError("a fault of ours")

    async with calling() as (_, client, phone):
        monkeypatch.setattr(LineEncoder, "push", fail)
        for hang_up in (True, False):
            call = await dial(client, to=phone.to, text=TEXT, hang_up=hang_up)
            await until_over(client, call["call_id"])


# The target


@pytest.mark.parametrize(
    ("to", "target"),
    [
        ("rtp:127.0.0.1:5004", ("127.0.0.1", 5_004)),
        ("rtp:[::1]:5004", ("::1", 5_004)),
        ("rtp:phone.example:1", ("phone.example", 1)),
        ("rtp:phone.example:65534", ("phone.example", 65_534)),
    ],
)
def test_a_target_is_a_host_and_a_port(to: str, target: tuple[str, int]) -> None:
    assert parse_rtp_target(to) == target


@pytest.mark.parametrize(
    "to",
    [
        "",
        ":",
        "rtp",
        "rtp:",
        "rtp::",
        "rtp::5004",
        "rtp:[]:5004",
        "rtp:127.0.0.1",
        "rtp:127.0.0.1:",
        "rtp:127.0.0.1:0",
        "rtp:127.0.0.1:65535",
        "rtp:127.0.0.1:99999",
        "rtp:127.0.0.1:-1",
        "rtp:127.0.0.1: 5004",
        "rtp:127.0.0.1:5004 ",
        "rtp:127.0.0.1:50.4",
        "rtp:127.0.0.1:٥٠٠٤",
        "rtp:127.0.0.1:²",
        "RTP:127.0.0.1:5004",
        "rtp://127.0.0.1:5004",
        "srtp:127.0.0.1:5004",
        "127.0.0.1:5004",
        "rtp:::1:5004",
        "rtp:[::1:5004",
        "rtp:127.0.0.1:" + "9" * 5_000,
    ],
)
def test_a_target_of_another_form_is_refused_by_field(to: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_rtp_target(to)
    assert refused.value.field == "to"
