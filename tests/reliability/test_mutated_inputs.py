"""A sample of mutated files, which `benchmarks/mutated_inputs.py` makes by the thousand: none is at fault."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from layerscope.crystals import phase_from_table, read_phase_table
from layerscope.errors import LayerscopeError, RecipeError

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "mutated_inputs.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutated_inputs", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutated_inputs"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform != "linux", reason="needs /proc and forks")
def test_no_mutated_file_crashes_hangs_or_loses_points_without_a_word(script: ModuleType) -> None:
    chosen = script.seeds(real=False)
    assert len({seed.format for seed in chosen}) > 20
    faults, counts = script.run(40, 5, chosen)
    assert faults == []
    assert counts["all|refused"] > 10


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform != "linux", reason="needs /proc and forks")
@pytest.mark.parametrize(
    ("fault", "words"),
    [("raise ValueError(1)", "foreign"), ("import os; os.abort()", "crash"), ("bytearray(2 << 30)", "memory")],
)
def test_a_fault_is_seen_where_there_is_one(
    fault: str, words: str, script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(script.READERS, "faulty", lambda path: exec(fault))  # noqa: S102
    assert words in script.read_apart("faulty", tmp_path)["fault"]


@pytest.mark.parametrize("value", [10**400, float("nan"), "0.1", None, [1]])
def test_a_structure_with_something_else_than_a_number_is_refused(value: object) -> None:
    table = read_phase_table("LiCoO2_O3")
    table["sites"] = [{**table["sites"][0], "z": value}, *table["sites"][1:]]
    with pytest.raises(RecipeError, match="incomplete phase"):
        phase_from_table(table, source="test")


def test_bytes_over_which_a_reader_stumbles_are_of_no_known_format(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from layerscope.microscopy.readers import FORMATS

    def stumble(raw: object) -> bool:
        raise OverflowError("Python int too large to convert to C ssize_t")

    monkeypatch.setattr("layerscope.microscopy.readers.emd.sniff", stumble)
    (tmp_path / "a.emd").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(LayerscopeError, match=r"of no known format|damaged"):
        FORMATS.read(tmp_path / "a.emd")
