import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.errors import SchemaError
from benchmarks.record import Deliveries, Outcome, Reception, RequestRecord
from benchmarks.results import (
    REQUESTS_FILE,
    RUN_FILE,
    RUN_VERSION,
    read_requests,
    read_run,
    write_run,
)
from tests.benchmarks.made import deliveries, ended, record, run

RECORDS = [
    record(),
    record(index=1, reception=Reception(3, 1, 0, 0, 0, 0.25), engine_ms=4.5),
    record(index=2, deliveries=deliveries((20, 0, 160), (45, 480, 160), (40, 640, 80))),
    ended(Outcome.FAILED, "cut <off>", index=3, dispatched_ns=None),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_run(tmp_path / "made", run(RECORDS), RECORDS)
    return tmp_path / "made"


def change(path: Path, **changed: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def test_a_run_comes_back_as_it_was_written(folder: Path) -> None:
    assert read_run(folder) == run(RECORDS)
    assert read_requests(folder) == RECORDS


@given(
    st.lists(
        st.tuples(st.integers(0, 10**12), st.integers(0, 1000), st.integers(1, 1000)), min_size=0, max_size=30
    )
)
def test_any_deliveries_come_back(
    tmp_path_factory: pytest.TempPathFactory, columns: list[tuple[int, int, int]]
) -> None:
    first, firsts = 0, []
    for _, skipped, samples in columns:
        firsts.append(first + skipped)
        first += skipped + samples
    made = Deliveries(tuple(c[0] for c in columns), tuple(firsts), tuple(c[2] for c in columns))
    folder = tmp_path_factory.mktemp("run")
    write_run(folder, run([]), [record(deliveries=made)])
    assert read_requests(folder)[0].deliveries == made


def test_a_paced_delivery_takes_ten_bytes(folder: Path) -> None:
    count = 1000
    at_ns = tuple(20_000_000 * k for k in range(count))
    paced = Deliveries(at_ns, tuple(160 * k for k in range(count)), (160,) * count)

    def size(written: RequestRecord) -> int:
        write_run(folder, run([]), [written])
        return (folder / REQUESTS_FILE).stat().st_size

    assert (size(record(deliveries=paced)) - size(record(deliveries=Deliveries()))) / count < 10


@pytest.mark.parametrize("changed", [{"version": RUN_VERSION + 1}, {"schema": "other"}, {"version": None}])
def test_another_version_is_refused(folder: Path, changed: dict[str, Any]) -> None:
    change(folder / RUN_FILE, **changed)
    with pytest.raises(SchemaError, match=f"expected talkspurt.bench.run {RUN_VERSION}, found"):
        read_run(folder)


def test_an_unknown_key_is_refused(folder: Path) -> None:
    change(folder / RUN_FILE, surprise=1)
    with pytest.raises(SchemaError, match="surprise: unknown key"):
        read_run(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7"])
def test_what_is_no_run_is_refused(folder: Path, text: str) -> None:
    (folder / RUN_FILE).write_text(text)
    with pytest.raises(SchemaError):
        read_run(folder)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        "7",
        '{"deliveries": 1}',
        '{"deliveries": {"at_ns": [1], "samples": [[1]], "skipped": []}}',
    ],
)
def test_what_is_no_request_is_refused(folder: Path, text: str) -> None:
    (folder / REQUESTS_FILE).write_text(text + "\n")
    with pytest.raises(SchemaError):
        read_requests(folder)


def test_columns_of_unlike_lengths_are_refused(folder: Path) -> None:
    path = folder / REQUESTS_FILE
    value = json.loads(path.read_text().splitlines()[0])
    value["deliveries"]["at_ns"].append(1)
    path.write_text(json.dumps(value))
    with pytest.raises(SchemaError, match="differ in length"):
        read_requests(folder)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="nowhere"):
        read_run(tmp_path / "nowhere")
