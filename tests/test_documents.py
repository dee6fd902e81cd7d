"""README.md and CLAUDE.md hold: their commands run, their settings and paths exist."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from server.config import DEFAULT_ENGINE, ServerConfig
from tests.server.process import server_process

ROOT = Path(__file__).parent.parent


def shell_blocks(page: str) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    return [block for block in blocks if not block.startswith("make ")]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


async def run(block: str, folder: Path, timeout_s: float = 60) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", block),
        cwd=folder,
        env={**os.environ, "PATH": path},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(process.communicate(), timeout_s)
    assert process.returncode == 0, f"{block}\n{said.decode()}"


def speaks_a_model(block: str) -> bool:
    return "--model" in block


async def test_the_readme_s_commands_run_and_write_what_they_name(tmp_path: Path) -> None:
    blocks = [block for block in shell_blocks("README.md") if not speaks_a_model(block)]
    assert len(blocks) == 3, "the server's, the command line's, the pocket voice's"
    async with server_process(TALKSPURT_ENGINE=DEFAULT_ENGINE) as running:
        for block in blocks:
            await run(block.replace("http://127.0.0.1:8000", running.url), tmp_path)
    written = contents(tmp_path)
    named = set(re.findall(r"(?:-o|--out|>) ([\w.]+)", "".join(blocks)))
    assert named == written.keys()
    assert written["balance.wav"].startswith(b"RIFF")
    assert written["call.sdp"].startswith(b"v=0")
    assert all(len(content) > 4_000 for name, content in written.items() if name != "call.sdp")


async def test_the_readme_s_way_to_chatterbox_leads_there(tmp_path: Path) -> None:
    blocks = [block for block in shell_blocks("README.md") if speaks_a_model(block)]
    assert len(blocks) == 2, "a model's and a voice's"
    fetched = "models fetch nano --out nano"
    assert fetched in blocks[0]
    await run(blocks[0].replace(fetched, "models random tiny --out nano"), tmp_path, 110)
    said = "This is a voice that somebody recorded for a model to take as its own. " * 2
    await run(f"talkspurt say '{said}' --out amy.wav", tmp_path)
    await run(blocks[1], tmp_path)
    assert {"parcel.wav", "amy-says.wav"} <= contents(tmp_path).keys()
    assert (tmp_path / "voices" / "amy.safetensors").is_file()


def test_the_readme_begins_with_the_two_commands() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert [line.split("#")[0].strip() for line in lines[3:5]] == ["make run", "make test"]


def test_the_readme_s_settings_are_the_server_s() -> None:
    table = re.search(r"\| setting \|.*?\n\n", (ROOT / "README.md").read_text(), re.DOTALL)
    assert table is not None
    first_cells = [row.split("|")[1] for row in table[0].strip().splitlines()[2:]]
    named = {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}
    assert named == set(ServerConfig.model_fields)


@pytest.mark.parametrize(
    "page", ["README.md", "CHANGELOG.md", "CLAUDE.md", "engines/CHATTERBOX.md", "server/PROTOCOL.md"]
)
def test_links_lead_to_files_that_are_there(page: str) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        if "://" not in link:
            assert ((ROOT / page).parent / link).exists(), f"{page} links to {link}"


def test_the_map_in_claude_md_names_every_package_file() -> None:
    text = (ROOT / "CLAUDE.md").read_text()
    assert len(text.splitlines()) <= 80
    for package in ("engines", "telephony", "server"):
        for path in (ROOT / package).rglob("*.py"):
            if path.stem.startswith("__") or path.parts[-2] == "text":
                continue
            assert re.search(rf"\b{path.stem}\b", text), f"CLAUDE.md does not name {path.relative_to(ROOT)}"
