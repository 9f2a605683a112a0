"""Names that no record can hold, files that the system refuses to write, and programs that answer nonsense."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from layerscope.diffraction.readers import read
from layerscope.diffraction.rietveld.engines.gsas2_engine import Gsas2Process

from layerscope.errors import DataError, FitError, LayerscopeError, RecipeError
from layerscope.measured.text import decode
from layerscope.runs.execute import execute
from layerscope.runs.export import export_run
from layerscope.runs.validate import validate_run

ODD = os.fsdecode(b"odd\xff\xfe")
odd_names = pytest.mark.skipif(sys.platform != "linux", reason="names of other systems are text")


@odd_names
def test_a_recipe_in_a_folder_whose_name_is_no_text_runs(recipe_folder: Path, tmp_path: Path) -> None:
    folder = recipe_folder.rename(recipe_folder.with_name(ODD))
    summary = execute(folder / "recipe.toml", tmp_path / ODD / "run", figures=False)
    assert summary.exit_code == 0
    assert validate_run(tmp_path / ODD / "run") == []
    assert export_run(summary.run, "csv", tmp_path / ODD / "out")


@odd_names
def test_files_whose_names_are_no_text_are_read_and_named_in_words(tmp_path: Path) -> None:
    rows = "".join(f"{10 + 0.1 * k:.1f} {100 + k}\n" for k in range(50))
    for number in range(3):
        (tmp_path / os.fsdecode(f"a{number}".encode() + b"\xff.xy")).write_text(rows)
    found = read(tmp_path / "*.xy")
    assert [frame.source for frame in found.measurements] == [f"a{n}\\udcff.xy" for n in range(3)]
    assert len(found.sha256) == 64


@pytest.mark.parametrize("key", ["sample", "title"])
def test_nul_in_a_recipe_is_refused_by_the_name_of_its_key(key: str, recipe_folder: Path, tmp_path: Path) -> None:
    recipe = recipe_folder / "recipe.toml"
    recipe.write_text(recipe.read_text().replace(f'{key} = "', f'{key} = "a\\u0000'))
    with pytest.raises(RecipeError, match=f"{key}: a text holds the character NUL"):
        execute(recipe, tmp_path / "run")


def test_signs_that_a_sheet_cannot_hold_are_written_out(recipe_folder: Path, tmp_path: Path) -> None:
    recipe = recipe_folder / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('sample = "', 'sample = "\\u0001\\u001b'))
    summary = execute(recipe, tmp_path / "run", figures=False)
    assert export_run(summary.run, "xlsx", tmp_path / "out")


@pytest.mark.parametrize("limit", [100, 1000, 5000, 20_000])
def test_an_array_that_the_system_refuses_to_write_is_an_error_and_no_crash(limit: int, tmp_path: Path) -> None:
    script = tmp_path / "write.py"
    script.write_text(
        "import resource, sys\nfrom pathlib import Path\nimport numpy as np\nimport layerscope.runs.nexus as nexus\n"
        "from layerscope.errors import WriteError\nfrom layerscope.runs.nexus_image import Field\n"
        "many = {f'a{k}': Field(f'/a{k}', np.arange(2000.0), (2000,)) for k in range(9)}\n"
        "nexus._write = lambda file, *_: [file.add(name, field) for name, field in many.items()]\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "try:\n    nexus.write_series(Path(sys.argv[1]) / 'arrays' / 'x.nxs', type('S', (), {'name': 'x'})())\n"
        "except WriteError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-P", script, tmp_path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "x.nxs: cannot be written: File too large" in done.stdout
    assert list((tmp_path / "arrays").iterdir()) == []


@pytest.mark.parametrize("reply", ["[]", "5", "null", '"text"', "{", "[" * 100_000, "NaN"])
def test_an_engine_that_answers_no_object_is_an_error_that_shows_its_answer(reply: str, tmp_path: Path) -> None:
    worker: Any = Gsas2Process.__new__(Gsas2Process)
    worker._process, worker.log, worker._answers = None, tmp_path / "log", queue.Queue()
    worker.close = lambda: None
    worker._answers.put(reply)
    with pytest.raises(FitError, match="GSAS-II answered"):
        worker._answer(1.0, tmp_path)


def test_a_text_that_would_not_fit_into_memory_is_refused_before_it_is_split() -> None:
    with pytest.raises(LayerscopeError, match=r"would take some .* MiB of memory, more than 1024"):
        decode(b"1\n" * 20_000_000)
    assert len(decode(b"1.0 2.0\n" * 600_000)) == 4_800_000


def test_a_tail_of_a_measured_file_costs_no_gigabyte(tmp_path: Path) -> None:
    file = tmp_path / "long.xy"
    with file.open("wb") as stream:
        for _ in range(60):
            stream.write(b"1 2\n" * 250_000)
    script = (
        "import sys\nfrom pathlib import Path\nfrom layerscope.diffraction.readers import read\n"
        "from layerscope.errors import LayerscopeError\n"
        "try:\n    read(Path(sys.argv[1]))\nexcept LayerscopeError as error:\n    print(str(error)[-60:])\n"
        # the usage that the system keeps of a process begins with that of the one it was started from
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", script, file], capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) < 700_000


def test_the_limit_of_memory_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.xye").write_bytes(b"1 2 3\n" * 9_000_000)
    with pytest.raises((LayerscopeError, DataError), match=r"a\.xye.*MiB of memory"):
        read(tmp_path / "a.xye")
