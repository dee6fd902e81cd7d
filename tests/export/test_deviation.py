"""Speech in windows against speech in one piece, on a tiny model of noise."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from engines.errors import ConfigError
from engines.model import CONDITIONALS_FILE
from export.deviation import WAYS, Deviation, deviations
from export.export_cli import export
from tests.fakes.tiny_model import tiny_checkpoint

TOKENS = 60


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def found(model: Path) -> dict[str, Deviation]:
    return {each.way: each for each in deviations(model, TOKENS, seed=0, threads=1)}


def test_every_way_is_measured_in_as_many_windows_as_it_takes(found: dict[str, Deviation]) -> None:
    assert list(found) == [way.name for way in WAYS]
    assert found["one piece, prompt cache"].windows == 1
    assert found["windows, 25 to the left"].windows == 4, "10, 12, 16 tokens and the rest"


def test_other_noise_is_the_ceiling_and_windows_lie_far_below_it(found: dict[str, Deviation]) -> None:
    ceiling = found["one piece, other noise"].mel_relative
    windows = [each.mel_relative for each in found.values() if each.windows > 1]
    assert ceiling > 0.2
    assert 0 < max(windows) < ceiling / 3


def test_only_ways_with_seams_have_jumps_at_them(found: dict[str, Deviation]) -> None:
    assert all((each.seam_jump > 0) == (each.windows > 1) for each in found.values())


def test_the_command_prints_a_row_for_each_way(model: Path) -> None:
    done = CliRunner().invoke(
        export, ["deviation", "--model", str(model), "--tokens", "20", "--threads", "1"]
    )
    assert done.exit_code == 0, done.output
    assert done.output.count("\n") == 2 + len(WAYS)


def test_a_model_without_a_voice_is_told(tmp_path: Path) -> None:
    model = tiny_checkpoint(tmp_path / "tiny")
    (model / CONDITIONALS_FILE).unlink()
    with pytest.raises(ConfigError, match="comes without a voice"):
        next(deviations(model, TOKENS, seed=0))
