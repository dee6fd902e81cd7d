"""The page at `/`, in a real Chromium: it speaks, stops, says what went wrong, and never calls out."""

import asyncio
import io
import re
import shlex
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio
import websockets
from numpy.typing import NDArray
from playwright.async_api import Browser, Page, Request, WebSocket, async_playwright

from telephony.g711 import decode_mulaw
from telephony.level import TARGET_DBOV
from tests.peers import require_program
from tests.server.process import ServerProcess, server_process
from tests.telephony.test_level import active_dbov, noise, speech

pytestmark = [pytest.mark.peer, pytest.mark.asyncio(loop_scope="module")]

TEXT = "Press one, please."
LONG_TEXT = "Your appointment is on Tuesday at nine. If you need to change it, please stay on the line. " * 2

_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
_TTFA_BOUND_MS = 5_000  # of a busy machine of two cores; some 100 are usual


class Watch:
    """What a page must not do: complain, or speak to anyone but its own origin."""

    def __init__(self, page: Page, origin: str) -> None:
        self.complaints: list[str] = []
        self._origins = (origin, f"blob:{origin}", origin.replace("http", "ws", 1))
        page.on("console", lambda message: self._note(message.type in ("error", "warning"), message.text))
        page.on("pageerror", lambda error: self._note(True, str(error)))
        page.on("request", self._check)
        page.on("websocket", self._check)

    def _check(self, sent: Request | WebSocket) -> None:
        self._note(not sent.url.startswith(self._origins), f"left its origin: {sent.url}")

    def _note(self, wrong: bool, what: str) -> None:
        if wrong:
            self.complaints.append(what)


@asynccontextmanager
async def open_page(
    browser: Browser, server: ServerProcess, width: int = 1_000, scheme: Any = "light"
) -> AsyncIterator[Page]:
    """The page with its line open, or refused; afterwards it must not have complained or called out."""
    context = await browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = await context.new_page()
    page.set_default_timeout(10_000)
    watch = Watch(page, server.url)
    await page.goto(server.url)
    await page.wait_for_selector("#connection:not([data-state=connecting])")
    yield page
    await context.close()
    assert watch.complaints == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[ServerProcess]:
    async with server_process() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    chromium = require_program("chromium")
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=chromium, args=_ARGUMENTS)
        yield launched
        await launched.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def modules(browser: Browser, server: ServerProcess) -> AsyncIterator[Page]:
    """A page whose own modules are imported and called; nobody clicks in it."""
    async with open_page(browser, server) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, server: ServerProcess) -> AsyncIterator[Page]:
    async with open_page(browser, server) as opened:
        yield opened


async def speak(page: Page, text: str, line: str = "studio") -> None:
    await page.check(f"input[value={line}]")
    await page.fill("#text", text)
    await page.click("#speak")


async def phase(page: Page, name: str) -> None:
    await page.wait_for_selector(f"body[data-phase={name}]")


async def number(page: Page, selector: str) -> float:
    """The number that a figure shows."""
    found = re.search(r"[−\d.]+", await page.inner_text(selector))
    assert found is not None, f"{selector} shows no number"
    return float(found.group().replace("−", "-"))


async def heard_samples(page: Page) -> int:
    return int(await page.get_attribute("#waveform", "data-heard-samples") or 0)


async def downloaded(page: Page) -> tuple[int, NDArray[np.int16]]:
    """(rate_hz, samples) of the WAV."""
    async with page.expect_download() as download:
        await page.click("#download")
    with wave.open(io.BytesIO((await (await download.value).path()).read_bytes())) as wav:
        assert (wav.getnchannels(), wav.getsampwidth()) == (1, 2)
        return wav.getframerate(), np.frombuffer(wav.readframes(wav.getnframes()), "<i2")


# Count of pixels of the accent colour.
_HEARD_PIXELS = """() => {
  const canvas = document.getElementById("waveform");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const [r, g, b] = [0x00, 0x70, 0x5c];
  let count = 0;
  for (let i = 0; i < data.length; i += 4) count += data[i] === r && data[i + 1] === g && data[i + 2] === b;
  return count;
}"""


async def test_speech_is_played_to_its_end_drawn_and_timed(page: Page) -> None:
    await speak(page, TEXT)
    await phase(page, "finished")
    heard = await heard_samples(page)
    assert heard / 24_000 == pytest.approx(await number(page, "#duration"), abs=0.01)
    assert heard > 12_000
    assert await page.evaluate(_HEARD_PIXELS) > 1_000
    ttfa_ms, engine_ms = await number(page, "#ttfa"), await number(page, "#engine")
    assert 0 < engine_ms <= await number(page, "#server-ttfa") < ttfa_ms < _TTFA_BOUND_MS
    assert 0 < await number(page, "#rtf") < 1
    rate_hz, pcm = await downloaded(page)
    assert (rate_hz, len(pcm)) == (24_000, heard)


async def test_telephone_line_is_heard_bit_for_bit_at_the_telephone_level(
    page: Page, server: ServerProcess
) -> None:
    await speak(page, LONG_TEXT, "telephone")
    await phase(page, "speaking")
    await page.wait_for_timeout(1_000)
    await page.click("#stop")
    await phase(page, "stopped")
    await page.wait_for_selector("#transcript:not([hidden])")
    assert await number(page, "#active-level") == pytest.approx(TARGET_DBOV, abs=1.5)
    rate_hz, pcm = await downloaded(page)
    body = {"input": LONG_TEXT, "encoding": "mulaw", "response_format": "pcm"}
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{server.url}/v1/audio/speech", json=body)
    sent = decode_mulaw(np.frombuffer(answer.content, np.uint8))
    assert rate_hz == 8_000
    assert len(pcm) > 1_000
    assert np.array_equal(pcm, sent[: len(pcm)])


async def test_stop_shows_what_was_spoken_and_what_was_not(page: Page) -> None:
    await page.fill("#text", LONG_TEXT)
    await page.press("#text", "Control+Enter")
    await phase(page, "speaking")
    await page.wait_for_timeout(1_500)
    await page.keyboard.press("Escape")
    await page.wait_for_selector("#transcript:not([hidden])")
    spoken = await page.text_content(".spoken") or ""
    not_spoken = await page.text_content(".not-spoken") or ""
    assert spoken + not_spoken == LONG_TEXT
    assert spoken.startswith("Your appointment")
    assert len(not_spoken) > len(LONG_TEXT) / 2
    assert await page.is_disabled("#stop")


async def test_speaking_again_replaces_what_is_being_spoken(page: Page) -> None:
    await speak(page, LONG_TEXT)
    await phase(page, "speaking")
    await speak(page, TEXT)
    await phase(page, "finished")
    assert await heard_samples(page) < 24_000 * 4
    assert await page.is_hidden("#transcript")


async def test_text_too_long_is_refused_in_the_words_of_the_server(page: Page) -> None:
    await speak(page, "a" * 4_097)
    await phase(page, "failed")
    shown = await page.inner_text("#error")
    assert "text: 4097 characters are more than the limit of 4096" in shown
    assert "field text · text_too_long" in shown
    assert await page.get_attribute("#text", "aria-invalid") == "true"
    await speak(page, TEXT)
    await phase(page, "speaking")
    assert await page.is_hidden("#error")


async def test_a_full_or_stopping_server_is_shown_and_a_free_place_is_taken(browser: Browser) -> None:
    async with server_process("--places", "1") as small, websockets.connect(small.stream_url) as other:
        await other.send('{"type": "start"}')
        await other.recv()
        async with open_page(browser, small) as page:
            await page.wait_for_selector("#connection[data-state=full]")
            await page.click("#speak")
            await page.wait_for_selector("#error:not([hidden])")
            assert "all 1 places are taken" in await page.inner_text("#error")
            await other.close()
            await page.wait_for_selector("#connection[data-state=ready]")
            assert await page.is_hidden("#error")
            small.ask_to_stop()
            await page.wait_for_selector("#connection[data-state=shutting_down]")


async def test_terminal_line_speaks_the_text_of_the_page(
    browser: Browser, server: ServerProcess, tmp_path: Path
) -> None:
    require_program("curl")
    async with open_page(browser, server, width=360, scheme="dark") as page:
        await page.fill("#text", 'It\'s $5, "exactly".\nThank you.')
        line = await page.inner_text("[data-line=http] code")
        curl = await asyncio.create_subprocess_shell(line, cwd=tmp_path)
        assert await curl.wait() == 0
        assert (tmp_path / "hello.wav").read_bytes()[:4] == b"RIFF"
        say = shlex.split(await page.inner_text("[data-line=say] code"))
        assert say[-1] == 'It\'s $5, "exactly".\nThank you.'
        assert await page.inner_text("[data-line=stream] code") == server.stream_url
        assert await page.evaluate("document.documentElement.scrollWidth") == 360


# The parts, as modules


_DECODED = """async () => {
  const { decodeMulaw } = await import("/page/g711.js");
  return [...decodeMulaw(Uint8Array.from({ length: 256 }, (_, code) => code))];
}"""

_LEVEL = """async ([pcm, rateHz]) => {
  const { ActiveLevel } = await import("/page/level.js");
  const level = new ActiveLevel(rateHz);
  for (let i = 0; i < pcm.length; i += 160) level.push(Int16Array.from(pcm.slice(i, i + 160)));
  return level.dbov;
}"""

# A tone through the resampler, pushed and pulled in pieces of these sizes.
_RESAMPLED = """async ([pcm, sourceHz, targetHz, pushed, pulled]) => {
  const { Resampler } = await import("/page/resampler.js");
  const resampler = new Resampler(sourceHz, targetHz);
  const out = [];
  const drain = () => {
    for (let count = 1; count; ) {
      const target = new Float32Array(pulled);
      count = resampler.pull(target);
      out.push(...target.subarray(0, count));
    }
  };
  for (let i = 0; i < pcm.length; i += pushed) {
    resampler.push(Int16Array.from(pcm.slice(i, i + pushed)));
    drain();
  }
  resampler.end();
  drain();
  return [out, resampler.position];
}"""

# 200 ms of a take, a pause longer than that, and 200 ms more.
_RUN_DRY = """async () => {
  const { Player } = await import("/page/player.js");
  const { Take } = await import("/page/take.js");
  const { LINES } = await import("/page/lines.js");
  const take = new Take(LINES.telephone, performance.now());
  let ended;
  const over = new Promise((resolve) => (ended = resolve));
  const player = new Player(() => player.playing || ended());
  const arrive = () => {
    take.push(new Uint8Array(1600).fill(0x10).buffer, performance.now());
    player.feed();
  };
  await player.prepare();
  player.begin(take);
  arrive();
  await new Promise((resolve) => setTimeout(resolve, 600));
  arrive();
  take.ended = true;
  player.feed();
  await over;
  return [take.underruns, player.played];
}"""


async def test_mulaw_table_is_the_one_of_the_server(modules: Page) -> None:
    wanted = decode_mulaw(np.arange(256, dtype=np.uint8))
    assert await modules.evaluate(_DECODED) == wanted.tolist()


async def test_active_level_is_that_of_p56(modules: Page) -> None:
    audio = np.concatenate((speech(2.0, -30.0), noise(48_000, -43.0)))  # noise that only just counts
    pcm = np.rint(audio * 32_768).astype(np.int16)
    shown = await modules.evaluate(_LEVEL, [pcm.tolist(), 24_000])
    assert shown == pytest.approx(active_dbov(audio), abs=0.2)


@pytest.mark.parametrize(("source_hz", "target_hz"), [(8_000, 48_000), (8_000, 44_100), (24_000, 44_100)])
async def test_resampled_tone_stays_a_tone_however_it_is_cut(
    modules: Page, source_hz: int, target_hz: int
) -> None:
    samples = source_hz // 4
    angle = 2 * np.pi * 0.4 * np.arange(samples)  # 3.2 kHz at 8 kHz: its image is at 4.8
    pcm = np.rint(16_384 * np.sin(angle)).astype(np.int16).tolist()
    whole, played = await modules.evaluate(_RESAMPLED, [pcm, source_hz, target_hz, samples, 1 << 16])
    pieces, _ = await modules.evaluate(_RESAMPLED, [pcm, source_hz, target_hz, 37, 128])
    assert pieces == whole
    assert played == samples
    assert len(whole) == pytest.approx(samples * target_hz / source_hz, abs=1)
    assert _residual_db(np.array(whole), 0.4 * source_hz / target_hz) < -75


def _residual_db(heard: NDArray[np.float64], cycles_per_sample: float) -> float:
    """What is left of a tone's middle when the tone is taken away, against the tone."""
    middle = slice(len(heard) // 4, 3 * len(heard) // 4)
    angle = 2 * np.pi * cycles_per_sample * np.arange(len(heard))
    basis = np.stack([np.sin(angle), np.cos(angle)], axis=1)[middle]
    parts, residual, _, _ = np.linalg.lstsq(basis, heard[middle], rcond=None)
    return float(10 * np.log10(residual[0] / np.sum((basis @ parts) ** 2)))


async def test_running_dry_is_counted_and_playback_goes_on(modules: Page) -> None:
    underruns, played = await modules.evaluate(_RUN_DRY)
    assert (underruns, played) == (1, 3_200)
