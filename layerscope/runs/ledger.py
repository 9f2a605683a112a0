"""The ledger: which jobs a run folder has seen, so that resuming is a look-up. It holds jobs only, never results."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from layerscope.errors import StoreError

__all__ = ["Job", "Ledger"]

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


class Ledger:
    """The table of jobs in ``ledger.sqlite`` (write-ahead log, so that readers never wait).

    Parameters
    ----------
    path : Path
        The file; made when missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=30)) as connection:
                yield connection
        except sqlite3.Error as error:
            raise StoreError(
                f"the ledger cannot be used: {error}", source=self.path, hint="remove it: it is made anew"
            ) from error

    def _write(self, statement: str, values: Sequence[object]) -> None:
        with self._connection() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            with connection:
                connection.execute(_SCHEMA)
                connection.execute(statement, tuple(values))

    def start(self, job_id: str, recipe: str, now: str) -> None:
        """Note that a job begins; a second attempt is counted."""
        self._write(
            "INSERT INTO jobs VALUES (?, ?, 'running', 1, ?, NULL, '[]', '{}', '') ON CONFLICT (job_id) DO UPDATE SET"
            " recipe = excluded.recipe, state = 'running', attempts = attempts + 1, started = excluded.started,"
            " finished = NULL",
            (job_id, recipe, now),
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
        self._write(
            "UPDATE jobs SET state = ?, finished = ?, records = ?, arrays = ?, message = ? WHERE job_id = ?",
            (
                "failed" if failed else "done",
                now,
                json.dumps(list(records)),
                json.dumps(dict(arrays), sort_keys=True),
                message,
                job_id,
            ),
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
            Job(job_id, recipe, state, attempts, tuple(json.loads(records)), json.loads(arrays), message)
            for job_id, recipe, state, attempts, records, arrays, message in rows
        ]

    def get(self, job_id: str) -> Job | None:
        """Return one job, or None when the ledger does not know it."""
        return next((job for job in self.jobs() if job.job_id == job_id), None)
