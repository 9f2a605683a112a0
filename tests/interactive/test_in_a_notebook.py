"""What a notebook shows of files, runs, fits and their pictures, in a kernel of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("ipykernel", reason="ipykernel is not installed: extra docs")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed: extra docs")
nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed: extra docs")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorials" / "python.md"
SHOWN = {
    "data": ("text/html", "binding_energy"),
    "data.plot()": ("image/png", ""),
    "run": ("text/html", "C-C/C-H"),
    "fit": ("text/html", "share of each species"),
    "fit.plot()": ("image/png", ""),
    "fit.table.head(3)": ("text/html", "record_id"),
    "fit.to_recipe()": ("text/html", "regions"),
    "fit.quality": ("text/plain", "redchi"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_notebook_shows_files_runs_and_fits_as_tables_and_pictures(
    reference_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reference_data").symlink_to(reference_data)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.delenv("PYTHONWARNINGS", raising=False)
    first = PAGE.read_text("utf-8").partition("```python\n")[2].partition("```")[0]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in (first, *SHOWN)])
    nbclient.NotebookClient(book, timeout=300, resources={"metadata": {"path": os.fspath(tmp_path)}}).execute()
    table, *others = book.cells
    assert "species.fraction" in table.outputs[-1].data["text/html"]
    for cell in others:
        kind, words = SHOWN[cell.source]
        assert kind in cell.outputs[-1].data, cell.source
        assert words in cell.outputs[-1].data[kind], cell.source
