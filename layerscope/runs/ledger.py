"""The ledger: which jobs a run folder has seen, so that resuming is a look-up. It holds jobs only, never results."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.errors import StoreError

__all__ = ["Ended", "Job", "Ledger"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    job_id TEXT PRIMARY KEY,
    recipe TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed')),
    attempts INTEGER NOT NULL,
    started TEXT NOT NULL,
    finished TEXT,
    records TEXT NOT NULL,
    arrays TEXT NOT NULL,
    message TEXT NOT NULL
)
"""


@dataclass(frozen=True)
class Job:
    """One job of a run: a recipe's task, addressed by what goes into it.

    Attributes
    ----------
    job_id : str
        Hash of pipeline, version, recipe and input files.
    recipe : str
        Name of the recipe, for people.
    state : str
        ``running``, ``done`` or ``failed``.
    attempts : int
        How often it was started.
    records : tuple of str
        Ids of the records it gave.
    arrays : mapping of str to str
        Array files it wrote, with the SHA-256 of each.
    message : str
        What went wrong; empty when nothing did.
    """

    job_id: str
    recipe: str
    state: str
    attempts: int
    records: tuple[str, ...]
    arrays: Mapping[str, str]
    message: str


@dataclass(frozen=True)
class Ended:
    """How a job ended at a time, and what it left in the folder, see `Job`."""

    job_id: str
    failed: bool
    now: str
    records: Sequence[str]
    arrays: Mapping[str, str]
    message: str = ""


class Ledger:
    """The table of jobs in ``ledger.sqlite`` (write-ahead log, so that readers never wait).

    As a context manager it keeps the file open, which spares a run the cost of opening it for each job. Nothing waits
    for the disk: what a power cut takes from the ledger is done again, for the records tell whether they are there.

    Parameters
    ----------
    path : Path
        The file; made when missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kept: sqlite3.Connection | None = None

    def __enter__(self) -> Ledger:
        with self._errors():
            self._kept = self._connected()
            self._prepare(self._kept)
        return self

    def __exit__(self, *_: object) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            with self._errors():
                kept.close()

    def _connected(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=30)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with self._errors():
            if self._kept is not None:
                yield self._kept
            else:
                with closing(self._connected()) as connection:
                    yield connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError, TypeError) as error:
            codes = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
            damaged = not isinstance(error, OSError) and getattr(error, "sqlite_errorcode", codes[0]) in codes
            raise StoreError(
                f"the ledger cannot be used: {error}",
                source=self.path,
                hint="layerscope rebuild FOLDER puts it aside: it is made anew" if damaged else None,
            ) from error

    def _write(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Write any number of rows in one transaction."""
        with self._connection() as connection:
            if connection is not self._kept:
                self._prepare(connection)
            with connection:
                connection.executemany(statement, rows)

    @staticmethod
    def _prepare(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        with connection:
            connection.execute(_SCHEMA)

    def start(self, jobs: Mapping[str, str], now: str) -> None:
        """Note that jobs begin, in one transaction; a second attempt is counted.

        Parameters
        ----------
        jobs : mapping of str to str
            Name of the recipe by job_id.
        now : str
            Time.
        """
        self._write(
            "INSERT INTO jobs VALUES (?, ?, 'running', 1, ?, NULL, '[]', '{}', '') ON CONFLICT (job_id) DO UPDATE SET"
            " recipe = excluded.recipe, state = 'running', attempts = attempts + 1, started = excluded.started,"
            " finished = NULL",
            [(job_id, recipe, now) for job_id, recipe in jobs.items()],
        )

    def finish(
        self,
        job_id: str,
        *,
        failed: bool,
        now: str,
        records: Sequence[str],
        arrays: Mapping[str, str],
        message: str = "",
    ) -> None:
        """Note how a job ended, and what it left in the folder."""
        self.finish_all([Ended(job_id, failed, now, records, arrays, message)])

    def finish_all(self, ended: Iterable[Ended]) -> None:
        """Note how jobs ended, and what they left in the folder, in one transaction."""
        self._write(
            "UPDATE jobs SET state = ?, finished = ?, records = ?, arrays = ?, message = ? WHERE job_id = ?",
            [
                (
                    "failed" if one.failed else "done",
                    one.now,
                    json.dumps(list(one.records)),
                    json.dumps(dict(one.arrays), sort_keys=True),
                    one.message,
                    one.job_id,
                )
                for one in ended
            ],
        )

    def jobs(self) -> list[Job]:
        """Return every job in the order of its start.

        Raises
        ------
        StoreError
            If the file is no ledger.
        """
        if not self.path.is_file():
            return []
        with self._connection() as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE name = 'jobs'").fetchall()
            if not tables:
                return []
            rows = connection.execute(
                "SELECT job_id, recipe, state, attempts, records, arrays, message FROM jobs ORDER BY started, job_id"
            ).fetchall()
            return [
                Job(job_id, recipe, state, attempts, tuple(_texts(records)), _texts(arrays), message)
                for job_id, recipe, state, attempts, records, arrays, message in rows
            ]


def _texts(stored: str) -> Any:
    """Return a list or table of texts; a ValueError if it holds something else."""
    found = json.loads(stored)
    if not all(isinstance(one, str) for one in (found.values() if isinstance(found, dict) else found)):
        raise ValueError("a job of it names files that are no texts")
    return found
