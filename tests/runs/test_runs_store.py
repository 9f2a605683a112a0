from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

import layerscope
from layerscope.errors import StoreError
from layerscope.records import Quantity, ResultRecord, SampleState
from layerscope.records.sharing import Sharing
from layerscope.runs.ledger import Ledger
from layerscope.runs.store import RunStore, read_json, write_atomic
from layerscope.runs.table import COLUMNS, arrow_table, table_frame, write_table


def record(number: int = 0, **changes: Any) -> ResultRecord:
    defaults: dict[str, Any] = {
        "record_id": f"{number:064x}",
        "technique": "toy",
        "method": "mean",
        "method_version": "1",
        "state": SampleState(sample="LRO", etch_time_s=float(number), voltage_V=4.2),
        "quantities": (
            Quantity(
                name="peak.position", value=191.1, sigma=0.03, sigma_kind="covariance", unit="eV", component="B-O"
            ),
            Quantity(name="species.fraction", unit="1", upper_limit=0.02, limit_confidence=0.95, component="B-F"),
        ),
    }
    return ResultRecord(**defaults | changes)


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    with RunStore.writing(tmp_path / "run", "case/recipe.toml") as created:
        created.write_info({"recipe": "case/recipe.toml", "title": "Toy", "status": "finished"})
    return created


def test_writing_the_same_again_does_not_touch_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert write_atomic(path, b"one")
    os.utime(path, (1, 1))
    assert not write_atomic(path, b"one")
    assert path.stat().st_mtime == 1
    assert write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file_and_no_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match=r"file: cannot be written: No space left on device"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_record_that_differs_only_in_its_time_is_not_written_again(store: RunStore) -> None:
    assert store.write_record(record(created="2024-01-01T00:00:00+00:00"))
    assert not store.write_record(record(created="2025-01-01T00:00:00+00:00"))
    assert store.read_record(f"{0:064x}").created.startswith("2024")
    assert store.write_record(record(notes=("new",)))


def damaged(store: RunStore, text: str) -> StoreError:
    store.write_record(record())
    path = store.record_path(f"{0:064x}")
    path.write_text(text)
    with pytest.raises(StoreError) as caught:
        layerscope.load_run(store.folder)
    assert caught.value.source == str(path)
    return caught.value


def test_a_damaged_record_is_named_with_what_is_wrong(store: RunStore) -> None:
    whole = record().to_json()
    assert "is damaged" in damaged(store, whole[: len(whole) // 2]).message
    assert "is damaged" in damaged(store, "").message
    assert "should be an object" in damaged(store, "[1]").message
    assert "schema_version" in damaged(store, whole.replace('"schema_version": 1', '"schema_version": 7')).message
    assert "sigma" in damaged(store, whole.replace('"sigma": 0.03', '"sigma": -0.03')).message
    assert "finite" in damaged(store, whole.replace('"sigma": 0.03', '"sigma": NaN')).message
    assert "another record" in damaged(store, record(1).to_json()).message
    assert "is damaged" in damaged(store, "[" * 100_000).message


def test_a_folder_that_is_no_run_or_of_a_later_format_is_refused(tmp_path: Path, store: RunStore) -> None:
    with pytest.raises(StoreError, match="no such folder"):
        layerscope.load_run(tmp_path / "absent")
    with pytest.raises(StoreError, match="is no run folder"):
        layerscope.load_run(tmp_path)
    store.run_file.write_text(json.dumps({"format": "layerscope-run", "format_version": 99}))
    with pytest.raises(StoreError, match="format version 99"):
        layerscope.load_run(store.folder)
    store.run_file.write_text(json.dumps({"format": "other"}))
    with pytest.raises(StoreError, match="of another kind"):
        layerscope.load_run(store.folder)


def test_a_json_file_of_absurd_size_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as stream:
        stream.truncate(10**12)  # sparse: takes no space
    with pytest.raises(StoreError, match="is larger than"):
        read_json(path)


WRITER = """
import sys
from pathlib import Path
from layerscope.records import Quantity, ResultRecord, SampleState
from layerscope.runs.store import RunStore
from layerscope.runs.ledger import Ledger
store = RunStore(Path(sys.argv[1]))
ledger = Ledger(store.ledger_file)
print("ready", flush=True)
turn = 0
while True:
    turn += 1
    for number in range(5):
        store.write_record(ResultRecord(
            record_id=f"{number:064x}", technique="toy", method="mean", method_version="1",
            state=SampleState(sample="LRO"), notes=tuple(f"turn {turn}, {line}" for line in range(2000)),
        ))
        ledger.start({f"{number}": "recipe"}, "2024-01-01")
        ledger.finish(f"{number}", failed=False, now="2024-01-01", records=[f"{number:064x}"], arrays={})
"""


def test_a_process_killed_while_it_writes_leaves_whole_records(store: RunStore) -> None:
    dice = random.Random(1)
    for _ in range(6):
        arguments = [sys.executable, "-P", "-c", textwrap.dedent(WRITER), str(store.folder)]
        with subprocess.Popen(arguments, cwd=store.folder, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(dice.uniform(0.02, 0.3))
            process.send_signal(signal.SIGKILL)
        for stored in layerscope.load_run(store.folder).records:
            assert len({note.split(",")[0] for note in stored.notes}) == 1
            assert len(stored.notes) == 2000
        assert all(job.state in ("running", "done") for job in Ledger(store.ledger_file).jobs())
    assert layerscope.load_run(store.folder).records, "the writer never got as far as one record"


KILLED_EVERYWHERE = """
import json, os, signal, sys
from pathlib import Path
from layerscope.runs.store import write_atomic
path, old, new = Path("file"), b"old" * 50_000, b"new" * 70_000
seen, step, alive = [], 0, False
while not alive:
    step += 1
    path.write_bytes(old)
    if (child := os.fork()) == 0:
        left = step
        def count(frame, event, argument):
            global left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        sys.setprofile(count)
        write_atomic(path, new)
        sys.setprofile(None)
        os._exit(0)
    alive = os.WIFEXITED(os.waitpid(child, 0)[1])
    seen.append({old: "old", new: "new"}.get(path.read_bytes(), "broken"))
print(json.dumps(seen))
"""


def test_a_kill_at_any_step_of_a_write_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-c", KILLED_EVERYWHERE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert len(seen) > 20
    turn = seen.index("new")
    assert seen == ["old"] * turn + ["new"] * (len(seen) - turn)


def test_the_ledger_takes_a_second_start_as_a_second_attempt(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    assert ledger.jobs() == []
    ledger.start({"a": "recipe"}, "2024-01-01T00:00:00")
    ledger.finish("a", failed=True, now="2024-01-01T00:00:01", records=["x"], arrays={"f": "1"}, message="no")
    ledger.start({"a": "recipe"}, "2024-01-02T00:00:00")
    (job,) = ledger.jobs()
    assert (job.attempts, job.state) == (2, "running")
    assert job.records == ("x",)


def test_a_file_that_is_no_ledger_is_a_typed_error(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match="the ledger cannot be used"):
        Ledger(path).jobs()


def test_the_table_has_the_promised_columns_and_nothing_disappears_from_it(tmp_path: Path) -> None:
    promised = (
        "record_id technique method sample etch_time_s voltage_V cycle component quantity value sigma sigma_kind unit"
        " status"
    )
    assert set(promised.split()) <= set(COLUMNS)
    failed = record(7, quantities=(), status="failed", problem={"kind": "fit", "message": "no"})
    frame = table_frame([failed, record(1), record(0)])
    assert list(frame["etch_time_s"]) == [0.0, 0.0, 1.0, 1.0, 7.0]
    assert list(frame["status"]) == ["ok"] * 4 + ["failed"]
    first = frame.iloc[0]
    assert (first["value"], first["sigma"], first["unit"], first["component"]) == (191.1, 0.03, "eV", "B-O")
    limit = frame.iloc[1]
    assert limit.isna()["value"]
    assert limit["upper_limit"] == 0.02
    assert frame.iloc[4].isna()["quantity"]
    assert frame.iloc[4]["problem"] == "no"


def test_the_same_records_in_any_order_give_the_same_table_file(tmp_path: Path) -> None:
    records = [record(number) for number in range(4)]
    assert write_table(records, tmp_path / "a.parquet")
    assert not write_table(list(reversed(records)), tmp_path / "a.parquet")


def test_an_empty_run_has_a_table_with_all_columns() -> None:
    assert arrow_table([]).column_names == list(COLUMNS)
    assert table_frame([]).empty


def test_equal_recipes_of_records_stand_in_memory_once(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.records_folder.mkdir()
    for number in range(3):
        state = SampleState(sample="A", frame=number)
        alike = {"technique": "toy", "method": "toy", "method_version": "1", "recipe": {"a": [1, 2]}}
        store.write_record(ResultRecord(record_id=f"{number:064x}", state=state, **alike))
    records = store.read_records()
    assert records[0].recipe is records[1].recipe is records[2].recipe
    assert [record.state.frame for record in records] == [0, 1, 2]


def test_records_share_the_names_of_the_fields_that_were_given_and_copies_leave_them_alone() -> None:
    share, made = Sharing(), [record(k, recipe={"series": [k], "scale": [1, 2]}) for k in range(3)]
    texts = [one.to_json() for one in made]
    first, second, third = map(share, made)
    assert [one.to_json() for one in (first, second, third)] == texts
    given = [one.quantities[0].__pydantic_fields_set__ for one in (first, second, third)]
    assert given[0] is given[1] is given[2]
    assert first.recipe["scale"] is third.recipe["scale"]
    changed = first.quantities[0].model_copy(update={"initial": 3.0})
    assert "initial" in changed.__pydantic_fields_set__
    assert "initial" not in given[0]
