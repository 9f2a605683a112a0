"""One page that holds a whole report: what needs attention, what techniques say, every table, every record.

Text of files and recipes is escaped by the template, and set as text by the script; the policy of the page lets nothing
run or load but what the page brings.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from layerscope.flags import FLAGS
from layerscope.records import ResultRecord
from layerscope.report.curves import fit_curves
from layerscope.report.payload import Payload, as_script
from layerscope.report.sections import Checklist, ReportSection, technique_sections
from layerscope.report.story import story_sections
from layerscope.runs.columns import Cell, Column
from layerscope.runs.load import Run
from layerscope.runs.present import summary_tables
from layerscope.runs.summary import SummaryTable
from layerscope.version import __version__

__all__ = ["report_page", "report_tables"]

_OPEN = 3
"""Tables of a part that are open from the start."""
_MOST_LINKS = 8


@dataclass(frozen=True)
class _Link:
    label: str
    href: str = ""
    id: str = ""


@dataclass(frozen=True)
class _Notice:
    """A flag in words, or what failed."""

    title: str
    says: str
    kind: str
    do: str = ""
    where: str = ""
    links: tuple[_Link, ...] = ()


@dataclass(frozen=True)
class _Placed:
    """A table that has its place in the payload."""

    number: int
    title: str
    size: str
    note: tuple[str, ...]
    open: bool


@dataclass(frozen=True)
class _Part:
    key: str
    title: str
    says: str = ""
    notices: tuple[_Notice, ...] = ()
    tables: tuple[_Placed, ...] = ()
    checklists: tuple[Any, ...] = ()
    links: tuple[_Link, ...] = ()
    curves: tuple[Any, ...] = ()
    files: tuple[tuple[str, str], ...] = ()


@dataclass
class _Page:
    """A page in the making."""

    payload: Payload
    parts: list[_Part] = field(default_factory=list)

    def add(
        self, title: str, tables: Iterable[SummaryTable] = (), lists: Iterable[Checklist] = (), **more: Any
    ) -> None:
        """Add a part, unless it is empty."""
        placed = tuple(self._placed(table, number) for number, table in enumerate(t for t in tables if t.cells))
        checked = tuple(
            {"title": one.title, "source": one.source, "rows": one.items, "missing": one.missing} for one in lists
        )
        if placed or checked or any(value for name, value in more.items() if name != "says"):
            key = _key(title, [part.key for part in self.parts])
            self.parts.append(_Part(key, title, tables=placed, checklists=checked, **more))

    def _placed(self, table: SummaryTable, number: int) -> _Placed:
        rows = len(table.cells)
        statuses = [n for n, column in enumerate(table.fields) if column.kind == "status"]
        warned = sum(any(row[n] != "ok" for n in statuses) for row in table.cells)
        size = f"{rows} row{'s' * (rows != 1)}" + (f", {warned} with a warning" if warned else "")
        return _Placed(self.payload.add(table), table.title, size, tuple(table.note.splitlines()), number < _OPEN)


def report_tables(run: Run) -> list[SummaryTable]:
    """Return every table of the report of a run, checklists among them; that of all records is left out.

    Parameters
    ----------
    run : Run
    """
    found: list[SummaryTable] = []
    for section in (*story_sections(run), *technique_sections(run)):
        found += [table for table in section.tables if table.cells]
        found += [one.table() for one in section.checklists]
    return [*found, *summary_tables(run)]


def report_page(run: Run, folder: str | None = "", *, sections: Sequence[ReportSection] | None = None) -> str:
    """Return the report of a run as one HTML page.

    Parameters
    ----------
    run : Run
    folder : str or None, optional
        Address of the run folder as seen from the page, with a slash at its end, for links to records and figures;
        None for no links.
    sections : sequence of ReportSection, optional
        What stands before the tables of each technique; by default what the installed techniques add.

    Returns
    -------
    str
        The same bytes for the same records: no time of writing is in it.
    """
    page = _Page(Payload(run.records))
    page.add("What needs attention", notices=(*_failures(run), *_flags(run.records)))
    added = technique_sections(run) if sections is None else sections
    for section in (*story_sections(run), *added):
        page.add(section.title, section.tables, section.checklists, says=section.says, files=section.files)
    curves, left = fit_curves(run)
    page.add("Fits", curves=tuple(curves), says=_on_curves(left) if curves else "")
    for technique, tables in _by_technique(run).items():
        page.add(f"Tables: {technique}", tables)
    page.add("Every record", [_index(run.records)])
    page.add("Files of the run", links=_files(run, folder))
    return _rendered(
        page, {"folder": folder, "curves": curves, "texts": [f for part in page.parts for f in part.files]}, run
    )


def _on_curves(left: int) -> str:
    left_out = f" {left} more series are in the folder arrays/ alone." if left else ""
    return (
        f"Measured and fitted curves of every series, at up to eight levels; of one with more, all as shades.{left_out}"
    )


def _rendered(page: _Page, more: dict[str, Any], run: Run) -> str:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    here = files("layerscope.report")
    script, style = ((here / f"report.{ending}").read_text(encoding="utf-8") for ending in ("js", "css"))
    policy = (
        f"default-src 'none'; script-src '{_source(script)}'; style-src '{_source(style)}'; img-src data:;"
        " base-uri 'none'; form-action 'none'"
    )
    environment = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    template = environment.from_string((here / "report.html").read_text(encoding="utf-8"))
    return template.render(
        title=run.title,
        facts=_facts(run),
        parts=page.parts,
        policy=Markup(policy),  # noqa: S704 - hashes and words from above
        version=__version__,
        style=Markup(style),  # noqa: S704 - a file of this package, as is the script
        script=Markup(script),  # noqa: S704
        data=Markup(as_script(page.payload.as_dict() | more)),  # noqa: S704 - "<" and "&" are escaped
    )


def _source(text: str) -> str:
    """Return the hash by which a policy lets an element of the page through."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _facts(run: Run) -> str:
    counts = {key: sum(r.status == key for r in run.records) for key in ("ok", "warning", "failed")}
    states = ", ".join(f"{count} {key}" for key, count in counts.items() if count) or "none"
    samples = len({record.state.sample for record in run.records})
    inputs = len({item.sha256 for record in run.records for item in record.inputs})
    return (
        f"{run.info.get('recipe', run.folder.name)}: {len(run.records)} records ({states}) of {samples}"
        f" sample{'s' * (samples != 1)} from {inputs} input file{'s' * (inputs != 1)}, by layerscope"
        f" {run.info.get('layerscope', __version__)}. Every number leads to its record: how it came about, with the"
        " parts of its error and the SHA-256 of the files that it rests on."
    )


def _key(title: str, taken: Sequence[str]) -> str:
    base = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "part"
    key, number = base, 2
    while key in taken:
        key, number = f"{base}-{number}", number + 1
    return key


def _by_technique(run: Run) -> dict[str, list[SummaryTable]]:
    """Return the tables of a run by the technique of their first record; last those that rest on no record."""
    technique = {record.record_id: record.technique for record in run.records}
    found: dict[str, list[SummaryTable]] = {}
    for table in summary_tables(run):
        found.setdefault(technique.get(next(iter(table.records), ""), "quarantined"), []).append(table)
    return found


def _flags(records: Sequence[ResultRecord]) -> list[_Notice]:
    """Return each flag that some record carries, those that warn first: what it says, what to do, where it is."""
    carried: dict[str, dict[str, ResultRecord]] = {}
    for record in records:
        for text in record.flags:
            carried.setdefault(text.partition(":")[0], {})[record.record_id] = record
    notices = []
    for name, of in carried.items():
        flag = FLAGS.get(name)
        says = "is a flag of a package of its own" if flag is None else flag.meaning
        do = flag.do if flag is not None and flag.do != "nothing" else ""
        severity = "suspicious" if flag is None else flag.severity
        where = f"{len(of)} of {len(records)} records:"
        notices.append(_Notice(name, says, severity, do, where, _links(list(of.values()))))
    return sorted(notices, key=lambda one: one.kind != "suspicious")


def _links(records: Sequence[ResultRecord]) -> tuple[_Link, ...]:
    shown = [_Link(_called(record), id=record.record_id[:16]) for record in records[:_MOST_LINKS]]
    return tuple(shown)


def _called(record: ResultRecord) -> str:
    state = record.state
    return " ".join(filter(None, (state.sample, state.region, record.record_id[:8])))


def _failures(run: Run) -> list[_Notice]:
    found = []
    for record in run.failed:
        problem = record.problem
        assert problem is not None  # noqa: S101 - a failed record has one
        source = problem.source or (record.inputs[0].path if record.inputs else record.state.sample)
        found.append(_Notice(source, problem.message, "failed", problem.hint or "", "failed:", _links([record])))
    return found


def _index(records: Sequence[ResultRecord]) -> SummaryTable:
    """Return a table with a row a record: what it is about, and the file that it rests on."""
    states: tuple[tuple[Column, Callable[[ResultRecord], Cell]], ...] = (
        (Column("record", kind="key"), lambda r: r.record_id[:12]),
        (Column("method", kind="key"), lambda r: r.method),
        (Column("sample", kind="key"), lambda r: r.state.sample),
        (Column("region", kind="key"), lambda r: r.state.region),
        (Column("frame", kind="text"), lambda r: r.state.frame),
        (Column("voltage", "V", kind="text"), lambda r: r.state.voltage_V),
        (Column("etch time", "s", kind="text"), lambda r: r.state.etch_time_s),
        (Column("quantities", kind="text"), lambda r: len(r.quantities)),
        (Column("input file", kind="text"), lambda r: r.inputs[0].path if r.inputs else None),
        (Column("its SHA-256", kind="text"), lambda r: r.inputs[0].sha256[:12] if r.inputs else None),
        (Column("status", kind="status"), lambda r: r.status),
        (Column("flags", kind="flags"), lambda r: r.flags),
    )
    rows = [tuple(says(record) for _, says in states) for record in records]
    told = [n for n in range(len(states)) if any(row[n] not in (None, "", ()) for row in rows)]
    return SummaryTable(
        "Every record",
        tuple(states[n][0] for n in told),
        tuple(tuple(row[n] for n in told) for row in rows),
        records=tuple(record.record_id for record in records),
    )


def _files(run: Run, folder: str | None) -> tuple[_Link, ...]:
    """Return what else lies in the run folder: the table of quantities, arrays, figures in their best form."""
    from urllib.parse import quote

    names = ["quantities.parquet", *run.info.get("arrays", {})]
    names += [name for name in run.info.get("figures", {}) if name.endswith((".pdf", ".csv", ".json"))]
    return tuple(_Link(name, "" if folder is None else folder + quote(name)) for name in names)
