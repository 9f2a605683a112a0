"""A NeXus file before it is one: groups and fields in memory, and the bytes of the HDF5 file that they make.

Most files of a run differ in their numbers alone. HDF5 writes the first file of a kind, the places of its numbers and
texts are kept, and the next one is the same bytes with its own contents in these places: what HDF5 itself would have
written, in a fiftieth of the time.
"""

from __future__ import annotations

import secrets
import struct
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5o, h5p, h5s, h5t
from numpy.typing import NDArray

__all__ = ["Attribute", "Field", "Group", "file_image"]

Attribute: TypeAlias = "str | bool | int | float | tuple[str, ...]"

_MOST_MOULDS = 32
_LARGEST_MOULD = 1 << 18
"""Bytes of the contents of a file, above which its image is no longer worth keeping: HDF5 writes it fast enough."""

_SCALAR = h5s.create(h5s.SCALAR)
_NUMBERS = {float: h5t.IEEE_F64LE, int: h5t.STD_I64LE, bool: h5t.py_create(np.dtype(bool), logical=True)}
_TEXT = h5t.C_S1.copy()
_TEXT.set_size(h5t.VARIABLE)
_TEXT.set_cset(h5t.CSET_UTF8)
_WORDS = h5py.string_dtype()
_TEXT_IN_MEMORY = h5t.py_create(_WORDS)  # made once: to make it takes longer than to write a text
_NO_CLOCK = h5p.create(h5p.DATASET_CREATE)
_NO_CLOCK.set_obj_track_times(False)
_UTF8_NAME = h5p.create(h5p.LINK_CREATE)
_UTF8_NAME.set_char_encoding(h5t.CSET_UTF8)


@dataclass(eq=False, slots=True)
class Field:
    """A field, which may stand in its file under more than one name.

    Attributes
    ----------
    name : str
        Path of the place where it was made.
    values : ndarray or tuple of bytes
        Numbers, or texts in UTF-8.
    shape : tuple of int
    attributes : dict
    """

    name: str
    values: NDArray[Any] | tuple[bytes, ...]
    shape: tuple[int, ...]
    attributes: dict[str, Attribute] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of its contents."""
        return sum(map(len, self.values)) if isinstance(self.values, tuple) else int(self.values.nbytes)


@dataclass(eq=False, slots=True)
class Group:
    """A group; without a name, the root of a file.

    Attributes
    ----------
    name : str
        Its path.
    attributes : dict
    members : dict
        Groups and fields by name.
    """

    name: str = ""
    attributes: dict[str, Attribute] = field(default_factory=dict)
    members: dict[str, Group | Field] = field(default_factory=dict)

    def add(self, name: str, member: Group | Field) -> None:
        """Give a group or field a name in this group.

        Raises
        ------
        ValueError
            If the name is taken.
        """
        if name in self.members:
            raise ValueError(f"{self.name}/{name} is there already")
        self.members[name] = member

    def __getitem__(self, path: str) -> Any:
        """Return the group or field that a path leads to from here; a KeyError if there is none."""
        here: Any = self
        for part in path.split("/"):
            here = here.members[part]
        return here


def file_image(root: Group) -> bytes:
    """Return the bytes of an HDF5 file; the same contents give the same bytes.

    Parameters
    ----------
    root : Group
        The root of the file.

    Raises
    ------
    RuntimeError, OSError
        If HDF5 cannot write it.
    """
    outline = _Outline()
    outline.add(root)
    if sum(one.size for one in outline.fields) > _LARGEST_MOULD:
        return _Written(root).image
    key = tuple(outline.key)
    mould = _MOULDS.get(key)
    if mould is None:
        mould = _MOULDS[key] = _Mould.of(root, outline)
        while len(_MOULDS) > _MOST_MOULDS:
            _MOULDS.popitem(last=False)
    return mould.filled(outline)


class _Outline:
    """What of a file is the same in all files of its kind, and lists of the rest, both in the order of the tree.

    Texts of attributes belong to the kind; texts of fields by their lengths, numbers by their types and shapes.
    """

    def __init__(self) -> None:
        self.key: list[Any] = []
        self.fields: list[Field] = []
        self.numbers: list[Any] = []

    def add(self, group: Group) -> None:
        self.key.append(group.name)
        self._attributes(group.attributes)
        for name, member in group.members.items():
            if isinstance(member, Group):
                self.add(member)
            elif member.name == f"{group.name}/{name}":
                kind = tuple(map(len, member.values)) if isinstance(member.values, tuple) else member.values.dtype.str
                self.key += (name, kind, member.shape)
                self.fields.append(member)
                self._attributes(member.attributes)
            else:
                self.key += (name, None, member.name)
        self.key.append(None)

    def _attributes(self, attributes: dict[str, Attribute]) -> None:
        for name, value in attributes.items():
            if type(value) in (float, int):
                self.numbers.append(value)
                self.key += (name, type(value))
            else:
                self.key += (name, type(value), value)
        self.key.append(None)


@dataclass(frozen=True)
class _Mould:
    """The bytes of a file of some kind, and where in them the contents stand.

    Attributes
    ----------
    image : bytes
    fields : tuple of tuple of int
        Place of each text of each field, or of its numbers.
    numbers : tuple of int
        Place of each number that is an attribute.
    """

    image: bytes
    fields: tuple[tuple[int, ...], ...]
    numbers: tuple[int, ...]

    @classmethod
    def of(cls, root: Group, outline: _Outline) -> _Mould:
        """Make the first file of a kind, with signs in place of numbers of attributes, which HDF5 does not place."""
        made = _Written(root, [secrets.token_bytes(8) for _ in outline.numbers])
        places = [_only(made.image, sign) for sign in made.signs]
        return cls(made.image, tuple(made.places(one) for one in outline.fields), tuple(places))

    def filled(self, outline: _Outline) -> bytes:
        """Return the bytes of the file of this kind that has these contents."""
        image = bytearray(self.image)
        for one, places in zip(outline.fields, self.fields, strict=True):
            pieces = one.values if isinstance(one.values, tuple) else (one.values.tobytes(),)
            for place, piece in zip(places, pieces, strict=True):
                image[place : place + len(piece)] = piece
        for number, place in zip(outline.numbers, self.numbers, strict=True):
            image[place : place + 8] = struct.pack("<d" if isinstance(number, float) else "<q", number)
        return bytes(image)


_MOULDS: OrderedDict[tuple[Any, ...], _Mould] = OrderedDict()


def _only(image: bytes, sign: bytes) -> int:
    place = image.find(sign)
    if place < 0 or image.find(sign, place + 1) >= 0:
        raise RuntimeError("an attribute has no place of its own in the file")
    return place


@lru_cache(maxsize=64)
def _space(shape: tuple[int, ...]) -> h5s.SpaceID:
    return h5s.create_simple(shape) if shape else _SCALAR


class _Written:
    """A tree as HDF5 writes it, in memory: where the system refuses to write on, HDF5's own writing ends the process.

    Attributes
    ----------
    image : bytes
        The file.
    signs : list of bytes
        What stands in place of each number that is an attribute, if anything was given for it.
    """

    def __init__(self, root: Group, signs: Sequence[bytes] = ()) -> None:
        self._given, self.signs = iter(signs), list[bytes]()
        self._made: dict[str, h5d.DatasetID] = {}
        self._places: dict[str, int] = {}
        with h5py.File(secrets.token_hex(8), "w", driver="core", backing_store=False, track_order=False) as file:
            self._group(file.id, root)
            file.flush()
            for name, dataset in self._made.items():
                self._places[name] = dataset.get_offset() or 0
            self.image: bytes = file.id.get_file_image()
            self._made.clear()

    def _group(self, at: Any, group: Group) -> None:
        self._attributes(at, group.attributes)
        for name, member in group.members.items():
            if isinstance(member, Group):
                self._group(h5g.create(at, name.encode(), lcpl=_UTF8_NAME), member)
            elif member.name in self._made:
                h5o.link(self._made[member.name], at, name.encode(), lcpl=_UTF8_NAME)
            else:
                self._made[member.name] = self._field(at, name, member)

    def _field(self, at: Any, name: str, one: Field) -> h5d.DatasetID:
        if isinstance(one.values, tuple):
            values, kind, in_memory = np.array([text.decode() for text in one.values], _WORDS), _TEXT, _TEXT_IN_MEMORY
        else:
            values, kind = one.values, h5t.py_create(one.values.dtype, logical=True)
            in_memory = kind
        made = h5d.create(at, name.encode(), kind, _space(one.shape), _NO_CLOCK, _UTF8_NAME)
        if values.size:
            made.write(h5s.ALL, h5s.ALL, values.reshape(one.shape), mtype=in_memory)
        self._attributes(made, one.attributes)
        return made

    def _attributes(self, at: Any, attributes: dict[str, Attribute]) -> None:
        for name, value in attributes.items():
            if isinstance(value, str | tuple):
                words = np.array(value if isinstance(value, str) else list(value), _WORDS)
                h5a.create(at, name.encode(), _TEXT, _space(words.shape)).write(words, mtype=_TEXT_IN_MEMORY)
                continue
            kind, number = _NUMBERS[type(value)], np.array(value)
            if not isinstance(value, bool) and (sign := next(self._given, None)) is not None:
                self.signs.append(sign)
                number = np.frombuffer(sign, number.dtype).reshape(())
            h5a.create(at, name.encode(), kind, _SCALAR).write(number, mtype=kind)

    def places(self, one: Field) -> tuple[int, ...]:
        """Return where the numbers of a field stand in the file, or each of its texts."""
        place = self._places[one.name]
        if not isinstance(one.values, tuple):
            return (place,)
        # a text stands in a heap: at its place are its length, where the heap begins, and its number there
        found = []
        for number in range(len(one.values)):
            _, heap, index = struct.unpack_from("<IQI", self.image, place + 16 * number)
            found.append(self._in_heap(heap, index) if one.values[number] else 0)
        return tuple(found)

    def _in_heap(self, heap: int, wanted: int) -> int:
        """Return where an object of a global heap stands ("GCOL", version, 3 bytes, size; then object by object)."""
        (size,) = struct.unpack_from("<Q", self.image, heap + 8)
        place = heap + 16
        while place < heap + size:
            index, _, _, length = struct.unpack_from("<HHIQ", self.image, place)
            if index == wanted:
                return place + 16
            place += 16 + length + -length % 8
        raise RuntimeError("a text has no place in the file")
