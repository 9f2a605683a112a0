"""The file formats of a technique: which one a file has, one file or many, and a typed error whatever is in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, Self, TypeVar, cast, get_args

import numpy as np

from layerscope.errors import DataError, LayerscopeError, MissingDependencyError, ReaderError, as_text
from layerscope.measured.archive import (
    LARGEST_ARCHIVE,
    LARGEST_MEMBER,
    fitting_names,
    is_zip,
    member_names,
    open_archive,
    read_member,
)
from layerscope.measured.files import RawFile, files_of, joint_fingerprint, load
from layerscope.measured.measurement import LeftOut, Recording

__all__ = ["Formats", "OnError", "Reader"]

OnError = Literal["raise", "collect", "keep"]
R = TypeVar("R", bound="Recording[Any]")
Getter = Callable[[str], RawFile]

_DIGITS = re.compile(r"\d+")
_APPLE_DOUBLE = b"\x00\x05\x16\x07"


class Reader(Protocol):
    """What reads one file format: a module with these two functions.

    Both are given the whole file. What `read` returns needs no place (index, source, scan), no check, and no order of
    its axis: `Formats` sees to these.
    """

    def sniff(self, raw: RawFile) -> bool:
        """Tell by its content, whatever its name, whether a file is of this format and of no other.

        Parameters
        ----------
        raw : RawFile
            The file's bytes.
        """

    def read(self, raw: RawFile) -> Sequence[Any]:
        """Read all measurements of a file, in its order.

        Parameters
        ----------
        raw : RawFile
            The file's bytes.

        Returns
        -------
        sequence of Measurement
            None where the file holds none, which is then refused. The format of plain columns is given their map too.

        Raises
        ------
        ReaderError
            If the file is not of this format, cut off, has not as many points as it declares, or holds something that
            is no number; the message names the line or the part. Whatever else is raised is turned into it.
        MissingDependencyError
            If a library is needed that is not installed.
        """


class Measured(Protocol):
    """What is read: a `Measurement`, or something that can be placed and checked like one."""

    def placed(self, index: int, source: str, scan: int) -> Self:
        """Return it with its place in what was read."""

    def check(self, source: str | Path | None = None) -> None:
        """Raise a DataError if no analysis could use it."""


@dataclass(frozen=True)
class Bundle:
    """The files of a folder, of an archive, or that fit a pattern; or one file.

    Parameters
    ----------
    files : iterable of RawFile or ReaderError
        In natural order of their names; the error where one cannot be loaded. Each is loaded when its turn comes, so
        that no more than one is in memory.
    names, skipped : tuple of str
        Their names, and those of the files that are left out.
    whole : (str, int) or None
        Hash and bytes of the file or archive; of several files, they follow from those of each.
    """

    files: Iterable[RawFile | ReaderError]
    names: tuple[str, ...]
    skipped: tuple[str, ...]
    whole: tuple[str, int] | None


class Formats(Generic[R]):
    """The formats of a technique.

    Parameters
    ----------
    package : str
        Package of the readers, one module a format: `Reader`.
    names : tuple of str
        Names of the modules.
    recording : type
        What reading gives: `Recording` or what the technique makes of it.
    plain : str, default "columns"
        The format for tables of text, which takes what no other knows, and a map of columns.
    version : str, default "1"
        Raised whenever a reader returns something else for the same bytes, so that old records stay distinguishable.
    one_kind : bool, default True
        Whether the files of a folder that belong together differ in nothing but digits, as the frames of a series do;
        otherwise all of a known format belong together.
    """

    def __init__(
        self,
        package: str,
        names: tuple[str, ...],
        recording: type[R],
        *,
        plain: str = "columns",
        version: str = "1",
        one_kind: bool = True,
    ) -> None:
        self.names = names
        self._package, self._recording, self._plain = package, recording, plain
        self._version, self._one_kind = version, one_kind

    def sniffed(self, file: str | Path | RawFile) -> list[str]:
        """Return the formats that take a file by its content: one, or none.

        The format of plain columns only takes what no other does.

        Parameters
        ----------
        file : str, Path or RawFile
            The file.
        """
        raw = file if isinstance(file, RawFile) else load(file)
        found = [name for name in self.names if name != self._plain and self._takes(name, raw)]
        plain = [name for name in self.names if name == self._plain]
        return found or [name for name in plain if self._takes(name, raw)]

    def _takes(self, name: str, raw: RawFile) -> bool:
        """Ask a reader whether a file is its own; what stumbles over damaged bytes takes nothing."""
        try:
            return self._reader(name).sniff(raw)
        except (LayerscopeError, ImportError):
            raise
        except Exception:  # noqa: BLE001 - the net under readers, for bytes that no format allows
            return False

    def read(
        self,
        path: str | Path | RawFile,
        *,
        format: str = "auto",
        columns: object = None,
        members: str | None = None,
        on_error: OnError = "raise",
        prepare: Callable[[Any], Any] | None = None,
    ) -> R:
        """Read a file, a folder, a zip archive, or all files that fit a pattern.

        Parameters
        ----------
        path : str, Path or RawFile
            A file; or a folder or a zip archive of files; or a pattern such as ``frames/*.xy``.
        format : str, default "auto"
            ``"auto"`` looks at the content, whatever the name; or one of `names`.
        columns : ColumnsTable, optional
            What the columns of a table of text mean. Giving it selects the format of plain columns.
        members : str, optional
            Which files of a folder or archive are meant, for instance ``"*.xye"``. Without it those of the largest
            group whose names differ only in their digits.
        on_error : {"raise", "collect", "keep"}
            Whether a measurement that cannot be read or used ends the reading, or is left out and listed in
            ``problems``; or only a file that cannot be read is, of several, and measurements are not checked.
        prepare : callable, optional
            What is done to every measurement before it is checked.

        Returns
        -------
        Recording
            In natural order of the files' names, and in the order of each file. Each measurement is checked.

        Raises
        ------
        ReaderError
            If a file is absent, empty, cut off or not what it claims to be; the message names file and reason.
        DataError
            If it was read but its values cannot be used.
        MissingDependencyError
            If the format needs a library that is not installed.
        """
        given, path = path, path.path if isinstance(path, RawFile) else Path(path)
        if format != "auto" and format not in self.names:
            raise ReaderError(f"unknown format {format!r}", source=path, hint=f"known: auto, {', '.join(self.names)}")
        if columns is not None and format not in ("auto", self._plain):
            raise ReaderError(f"a column map does not go with the format {format!r}", source=path)
        if on_error not in get_args(OnError):
            raise ReaderError(f"on_error is {on_error!r}", source=path, hint="raise, collect or keep")
        wanted = self._plain if columns is not None else format
        bundle = _alone(given) if isinstance(given, RawFile) else self._bundle(path, wanted, members)
        found: list[Any] = []
        problems: list[LeftOut] = []
        formats: dict[str, None] = {}
        known: list[tuple[str, str, int]] = []
        for name, file in zip(bundle.names, bundle.files, strict=True):
            known.append((name, file.sha256, file.size) if isinstance(file, RawFile) else (name, "unreadable", 0))
            where = path if len(bundle.names) == 1 and name == path.name else f"{path}: {name}"
            items: Sequence[Measured | LayerscopeError]
            try:
                format, items = self._read_file(file, wanted, columns)
                formats[format] = None
            except LayerscopeError as error:
                items = [error]
            for scan, item in enumerate(items):
                index = len(found) + len(problems)
                try:
                    if isinstance(item, LayerscopeError):
                        raise item
                    placed = item.placed(index, as_text(name), scan)
                    measurement = placed if prepare is None else prepare(placed)
                    if on_error != "keep":
                        with np.errstate(all="ignore"):
                            measurement.check(where)
                except MissingDependencyError:
                    raise  # it is not the file's fault, and every file would fail alike
                except LayerscopeError as error:
                    if on_error == "raise" or (on_error == "keep" and len(bundle.names) == 1):
                        raise
                    problems.append(LeftOut.of(index, as_text(name), error))
                else:
                    found.append(measurement)
        if not found:
            reason = problems[0].message if problems else "there is none"
            raise DataError(f"no measurement can be used: {reason}", source=path)
        sha256, size = joint_fingerprint(known) if bundle.whole is None else bundle.whole
        return self._recording(
            source=path,
            format=next(iter(formats)) if len(formats) == 1 else "mixed",
            reader=self._package.removesuffix(".readers"),
            reader_version=self._version,
            sha256=sha256,
            size=size,
            measurements=tuple(found),
            problems=tuple(problems),
            skipped=bundle.skipped,
        )

    def _read_file(self, file: RawFile | ReaderError, format: str, columns: object) -> tuple[str, Sequence[Measured]]:
        """Return the format of a file and what it holds."""
        if isinstance(file, ReaderError):
            raise file
        if file.data.startswith(_APPLE_DOUBLE):
            words = "it is a companion file that macOS leaves beside each file on other disks, without any measurement"
            raise file.error(words, hint="take the file whose name has no '._' before it")
        name = format if format != "auto" else next(iter(self.sniffed(file)), "")
        if not name:
            hint = f"known: {', '.join(self.names)}; plain columns need a column map"
            raise file.error("the content is of no known format", hint=hint)
        try:
            # Damaged bytes may hold any number; the checks that follow refuse those that are not finite.
            with np.errstate(all="ignore"):
                read: Callable[..., Sequence[Measured]] = self._reader(name).read
                items = read(file, columns) if name == self._plain else read(file)
        except LayerscopeError as error:
            error.source = error.source or str(file.path)
            raise
        except Exception as error:  # the net under readers, for bytes that no format allows
            reason = f"{type(error).__name__}: {error}"
            raise file.error(f"the content is damaged ({name}): {reason}") from error
        if not items:
            raise file.error(f"the file holds no measurement ({name})", hint="it may be cut off")
        return name, items

    def _reader(self, name: str) -> Reader:
        return cast("Reader", import_module(f"{self._package}.{name}"))

    def _bundle(self, path: Path, format: str, members: str | None) -> Bundle:
        """Collect the files that belong to what is read."""
        many = files_of(path)
        if many is not None:
            folder, names = many
            _require_room(path, sum((folder / name).stat().st_size for name in names))
            get = partial(_load_inside, folder)
            whole = members is None and not path.is_dir()  # a pattern has chosen already
            chosen = names if whole and names else self._chosen(path, names, format, members, get)
            return Bundle(_collected(chosen, get), tuple(chosen), _others(names, chosen), None)
        raw = load(path)
        if not is_zip(raw) or self.sniffed(raw):
            if members is not None:
                raise raw.error("members only goes with a folder or a zip archive")
            return _alone(raw)
        with open_archive(raw) as archive:
            names = member_names(archive)
            get = partial(read_member, raw, archive)
            chosen = self._chosen(path, names, format, members, get)
        return Bundle(_members(raw, chosen), tuple(chosen), _others(names, chosen), (raw.sha256, raw.size))

    def _chosen(self, where: Path, names: list[str], format: str, members: str | None, get: Getter) -> list[str]:
        """Return the names of the files that belong to what is read."""
        listing = f"files: {', '.join(names[:8]) or 'none'}"
        if members is not None:
            if fitting := fitting_names(names, members):
                return fitting
            raise ReaderError(f"no file fits {members!r}", source=where, hint=listing)
        groups: dict[str, list[str]] = {}
        for name in names:
            groups.setdefault(_DIGITS.sub("#", name), []).append(name)
        readable = [group for group in groups.values() if format != "auto" or self._is_readable(group, get)]
        if not readable:
            raise ReaderError("no file is of a known format", source=where, hint=listing)
        if not self._one_kind:
            return [name for name in names if any(name in group for group in readable)]
        readable.sort(key=len, reverse=True)
        chosen = readable[0]
        # Other files with the same extension would vanish silently if the largest group were simply taken.
        rivals = [g for g in readable[1:] if len(g) == len(chosen) or _suffix(g[0]) == _suffix(chosen[0])]
        if rivals:
            raise ReaderError(
                f"it is not certain which files are meant: {chosen[0]!r} or {rivals[0][0]!r}",
                source=where,
                hint="give members, for instance members='*.xye'",
            )
        return chosen

    def _is_readable(self, group: list[str], get: Getter) -> bool:
        """Tell whether one of the first files of a group is of a known format; a damaged first one hides no group."""
        for name in group[:3]:
            with suppress(ReaderError):
                if self.sniffed(get(name)):
                    return True
        return False


def _alone(raw: RawFile) -> Bundle:
    return Bundle((raw,), (raw.name,), (), (raw.sha256, raw.size))


def _members(raw: RawFile, names: Sequence[str]) -> Iterator[RawFile | ReaderError]:
    with open_archive(raw) as archive:
        yield from _collected(names, partial(read_member, raw, archive))


def _load_inside(folder: Path, name: str) -> RawFile:
    if (folder / name).stat().st_size > LARGEST_MEMBER:
        raise ReaderError("the file is larger than 256 MiB", source=folder / name)
    return replace(load(folder / name), path=folder, member=name)


def _collected(names: Sequence[str], get: Getter) -> Iterator[RawFile | ReaderError]:
    for name in names:
        try:
            yield get(name)
        except ReaderError as error:
            yield error


def _require_room(path: Path, size: int) -> None:
    if size > LARGEST_ARCHIVE:
        raise ReaderError(f"the files have {size} bytes together; no series is that large", source=path)


def _others(names: Sequence[str], chosen: Sequence[str]) -> tuple[str, ...]:
    kept = set(chosen)
    return tuple(name for name in names if name not in kept)


def _suffix(name: str) -> str:
    return name.rsplit("/", 1)[-1].rpartition(".")[2].lower()
