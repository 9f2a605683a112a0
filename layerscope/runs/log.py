"""What a run tells in its folder while it goes on: ``user.log`` for people, ``debug.log`` for whoever mends a defect.

Each run adds its lines; one that has nothing to do adds none.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO

from layerscope.measured.files import writing
from layerscope.records.model import now_iso

__all__ = ["RunLog"]


class RunLog:
    """Both logs of a run folder, opened when the first line is written.

    Parameters
    ----------
    folder : Path or None
        The run folder; None: nothing is written.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._open: dict[str, IO[str]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is not None and self._open:
            self.say(f"stopped: {type(error).__name__}: {' '.join(str(error).split())}")
        with writing(self._folder or Path()):
            self._stack.close()
        self._open.clear()

    def say(self, text: str) -> None:
        """Add a line to both logs.

        Raises
        ------
        WriteError
            If it cannot be written.
        """
        self._write("user.log", text)
        self.note(text)

    def note(self, text: str) -> None:
        """Add a line, or what takes several, to ``debug.log``.

        Raises
        ------
        WriteError
            If it cannot be written.
        """
        self._write("debug.log", text)

    def _write(self, name: str, text: str) -> None:
        if self._folder is None:
            return
        with writing(self._folder / name):
            if name not in self._open:
                opened = (self._folder / name).open("a", encoding="utf-8", errors="backslashreplace", buffering=1)
                self._open[name] = self._stack.enter_context(opened)
            self._open[name].write(f"{now_iso()} {text}\n")
