"""A file made of kept bytes and new contents is the file that HDF5 writes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from layerscope.spectra.xps.nexus import LAYOUT

from layerscope.runs import nexus_image
from layerscope.runs.nexus import write_series
from layerscope.runs.nexus_image import Field, Group, file_image
from layerscope.runs.nexus_layout import add_field, add_group, add_link, set_attribute


def small_file(number: float, text: str, words: list[str], rows: int = 2) -> Group:
    """Return a file with a field and an attribute of every kind."""
    root = Group()
    set_attribute(root, "default", "entry")
    entry = add_group(root, "entry", "NXentry")
    values = number * np.arange(3.0 * rows).reshape(rows, 3)
    field = add_field(entry, "values", values, "eV", error=number, order=int(number), vary=True)
    add_link(add_group(entry, "again", "NXdata"), "linked", field)
    add_field(entry, "title", text)
    add_field(entry, "words", words)
    add_field(entry, "none", [])
    add_field(entry, "number", number)
    add_field(entry, "whole", int(number))
    add_field(entry, "said", number > 1.0)
    add_field(entry, "counts", np.arange(rows))
    add_field(entry, "image", np.full((rows, 2), number, np.float32))
    add_field(entry, "empty", np.empty(0))
    set_attribute(entry, "axes", words)
    return root


def by_h5py(root: Group) -> bytes:
    """Return the file as the plain calls of h5py make it, one by one."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:

        def add(at: Any, group: Group) -> None:
            for key, value in group.attributes.items():
                at.attrs[key] = np.array(list(value), h5py.string_dtype()) if isinstance(value, tuple) else value
            for name, member in group.members.items():
                if isinstance(member, Group):
                    add(at.create_group(name), member)
                elif member.name in file:
                    at[name] = file[member.name]
                else:
                    texts = isinstance(member.values, tuple)
                    data = np.array(member.values, object).reshape(member.shape) if texts else member.values
                    made = at.create_dataset(name, data=data, dtype=h5py.string_dtype() if texts else None)
                    made.attrs.update(member.attributes)

        add(file, root)
    return buffer.getvalue()


def content(image: bytes) -> dict[str, Any]:
    """Return all that is in a file: of each path its type, shape, bytes or texts, and attributes."""
    found: dict[str, Any] = {}

    def note(path: str, node: Any) -> None:
        found[path] = sorted((key, str(np.asarray(v).dtype), np.asarray(v).tolist()) for key, v in node.attrs.items())
        if isinstance(node, h5py.Dataset):
            values = node[()]
            plain = np.asarray(values).tolist() if node.dtype == object else np.asarray(values).tobytes()
            found[path] += [node.name, str(node.dtype), node.shape, h5py.check_string_dtype(node.dtype), plain]

    with h5py.File(io.BytesIO(image)) as file:
        note("/", file)

        def walk(group: Any, path: str) -> None:
            for name, node in group.items():
                note(f"{path}/{name}", node)
                if isinstance(node, h5py.Group):
                    walk(node, f"{path}/{name}")

        walk(file, "")
    return found


@pytest.fixture(autouse=True)
def no_moulds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nexus_image, "_MOULDS", type(nexus_image._MOULDS)())


CASES = [(2.5, "one", ["eins", "zwei"]), (-7.25, "tué", ["drei", "vier"]), (0.0, "", ["a", ""]), (1.0, "x", [])]


@pytest.mark.parametrize(("number", "text", "words"), CASES)
def test_a_file_holds_what_plain_calls_of_h5py_write(number, text, words):
    root = small_file(number, text, words)
    assert content(file_image(root)) == content(by_h5py(root))


def test_a_file_from_kept_bytes_is_the_one_that_hdf5_writes_byte_by_byte():
    kinds = [small_file(number, text, words, rows) for rows in (2, 3) for number, text, words in CASES]
    others = [
        small_file(number + 3.0, text[::-1], words[::-1], rows) for rows in (2, 3) for number, text, words in CASES
    ]
    written = [nexus_image._Written(root).image for root in (*kinds, *others)]
    assert [file_image(root) for root in (*kinds, *others)] == written
    assert [file_image(root) for root in (*kinds, *others)] == written


def test_a_series_of_the_same_kind_gives_the_same_bytes_whatever_came_before(tmp_path: Path, make_series, monkeypatch):
    changed = {
        name: type(p)(p.values + 1.0, p.sigmas, p.unit, p.initial and p.initial + 0.5, p.min, p.max, p.scope)
        for name, p in make_series().parameters.items()
    }
    path = tmp_path / "arrays" / "a.nxs"
    write_series(path, make_series(parameters=changed), layout=LAYOUT)
    alone = path.read_bytes()
    monkeypatch.setattr(nexus_image, "_MOULDS", type(nexus_image._MOULDS)())
    write_series(path, make_series(), layout=LAYOUT)
    write_series(path, make_series(parameters=changed), layout=LAYOUT)
    assert path.read_bytes() == alone
    assert len(nexus_image._MOULDS) == 1


def test_no_more_than_some_kinds_are_kept_and_none_of_large_files():
    for rows in range(1, 40):
        file_image(small_file(1.0, "a", [], rows))
    assert len(nexus_image._MOULDS) == nexus_image._MOST_MOULDS
    kept = set(nexus_image._MOULDS)
    file_image(small_file(1.0, "a", [], 20_000))
    assert set(nexus_image._MOULDS) == kept


def test_a_name_that_is_taken_is_refused():
    group = Group()
    add_field(group, "a", 1.0)
    with pytest.raises(ValueError, match="/a is there already"):
        group.add("a", Field("/a", (), (0,)))
