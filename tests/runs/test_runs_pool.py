from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any

import pytest

from layerscope.errors import LimitError
from layerscope.runs.pool import Crew, Limits, each_ended

WORK = """
import os
def work(piece):
    if piece == "die":
        os._exit(3)
    if piece == "fail":
        raise ValueError("no luck")
    return os.environ.get(piece, piece)
def begin(counter, folder):
    with counter.get_lock():
        counter.value += 1
        number = counter.value
    (folder / f"begun_{number}").touch()
"""


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A module with work for processes, which import it by name."""
    (tmp_path / "pool_work.py").write_text(WORK)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delitem(sys.modules, "pool_work", raising=False)
    import pool_work

    return pool_work


def outcomes(work: Callable[[str], str], pieces: list[str], count: int) -> list[object]:
    found = dict(each_ended(work, pieces, count))
    return [type(found[k]) if isinstance(found[k], BaseException) else found[k] for k in range(len(pieces))]


def test_an_error_and_a_death_cost_their_own_piece_and_no_other(module: Any) -> None:
    pieces = ["a", "die", "b", "fail", "c", "die", "d"]
    found = outcomes(module.work, pieces, 2)
    assert [one for one in found if isinstance(one, str)] == ["a", "b", "c", "d"]
    assert found[3] is ValueError
    assert all(isinstance(found[k], type) and issubclass(found[k], BrokenExecutor) for k in (1, 5))


def test_pieces_that_are_added_while_answers_come_are_done_too(module: Any) -> None:
    pieces, found = ["a", "b"], {}
    for number, answer in each_ended(module.work, pieces, 2, limits=[Limits(), Limits()]):
        found[number] = answer
        if number < 2:
            pieces.append(f"after {answer}")
    assert sorted(found.values()) == ["a", "after a", "after b", "b"]


def test_nothing_to_do_needs_no_process(module: Any) -> None:
    assert outcomes(module.work, [], 2) == []


def test_processes_use_one_thread_each_and_the_environment_is_as_before(
    module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with Crew(module.work, 1, variables=("OTHER_THREADS",)) as crew:
        numbers = crew.take(["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OTHER_THREADS"])
        assert os.environ["OMP_NUM_THREADS"] == "7"
        assert "MKL_NUM_THREADS" not in os.environ
        assert sorted(crew.ended()) == numbers
        assert [crew.answer(number) for number in numbers] == ["1", "1", "1"]


def test_each_process_begins_once(module: Any, tmp_path: Path) -> None:
    arguments = (Crew.context.Value("i", 0), tmp_path)
    with Crew(module.work, 2, begin=module.begin, arguments=arguments) as crew:
        crew.take(list("abcdef"))
        assert sorted(crew.answer(number) for number in crew.ended()) == list("abcdef")
    assert sorted(path.name for path in tmp_path.glob("begun_*")) == ["begun_1", "begun_2"]


def test_what_waits_can_be_done_by_who_is_free(module: Any) -> None:
    with Crew(module.work, 0) as crew:
        assert crew.take(["a", "b"]) == [0, 1]
        assert (crew.pop(), crew.pop(), crew.pop()) == ((0, "a"), (1, "b"), None)
        with pytest.raises(BrokenExecutor, match="no process is left"):
            crew.answer(0)


def test_processes_that_cannot_begin_leave_an_error_for_each_piece(module: Any) -> None:
    def not_of_a_module(piece: str) -> str:
        return piece

    found = outcomes(not_of_a_module, ["a", "b"], 2)
    assert all(isinstance(one, type) for one in found)


SLOW = """
import os, subprocess, sys, time
def work(piece):
    if piece.startswith("child"):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
        open(piece.partition(" ")[2], "w").write(str(child.pid))
        time.sleep(120)
    if piece == "sleep":
        time.sleep(120)
    if piece == "memory":
        return len(bytearray(2_000_000_000))
    return os.getpid()
"""


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A module with work that takes too much."""
    (tmp_path / "slow_work.py").write_text(SLOW)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delitem(sys.modules, "slow_work", raising=False)
    import slow_work

    return slow_work


def gone(process: int) -> bool:
    """Tell whether a process has ended, and wait a little for it."""
    for _ in range(200):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_what_takes_too_long_ends_with_its_children_and_frees_its_place(slow: Any, tmp_path: Path) -> None:
    pieces = [f"child {tmp_path / 'pid'}", "a", "b"]
    found = dict(each_ended(slow.work, pieces, 1, limits=[Limits(time_s=4.0), Limits(), Limits()]))
    assert isinstance(found[0], LimitError)
    assert "4 s" in found[0].message
    assert isinstance(found[1], int)
    assert found[1] == found[2]
    assert gone(int((tmp_path / "pid").read_text()))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems bound no memory")
def test_what_needs_too_much_memory_is_told_so_and_its_process_goes_on(slow: Any) -> None:
    found = dict(each_ended(slow.work, ["a", "memory", "b"], 1, limits=[Limits(memory_MB=1000.0)] * 3))
    assert isinstance(found[1], MemoryError)
    assert found[0] == found[2]


def test_somebody_is_told_now_and_then_while_nothing_ends(slow: Any) -> None:
    told: list[None] = []
    list(each_ended(slow.work, ["sleep"], 1, limits=[Limits(time_s=1.0)], heartbeat=lambda: told.append(None)))
    assert told
