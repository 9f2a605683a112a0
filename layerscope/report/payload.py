"""The records and tables of a run as compact JSON for a page: words that come again stand once, numbers are texts.

A number is written as people read it, ``1.234(5)``: value and error can be read back from it to a fraction of the
error, and it takes a third of the bytes of both in full. Numbers in full stand in the record's own file, to which the
page links.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from layerscope.flags import FLAGS
from layerscope.records import Quantity, ResultRecord, SampleState
from layerscope.records.vocabulary import VOCABULARY
from layerscope.runs.columns import Cell, Column
from layerscope.runs.summary import SummaryTable

__all__ = ["Payload", "as_script"]

STATE = tuple(SampleState.model_fields)
QUALITY = ("chi2", "redchi", "n_data", "n_free", "rwp", "rexp", "gof", "aic", "bic", "durbin_watson")


class _Pool:
    """A list of different things, each named by its place."""

    def __init__(self) -> None:
        self._places: dict[Hashable, int] = {}

    def __call__(self, item: Hashable) -> int:
        return self._places.setdefault(item, len(self._places))

    def __iter__(self) -> Any:
        return iter(self._places)


class Payload:
    """The data of a page, record by record and table by table.

    Parameters
    ----------
    records : sequence of ResultRecord
        In the order of the experiment; a table may rest on these alone.
    """

    def __init__(self, records: Sequence[ResultRecord]) -> None:
        self._words, self._terms, self._files, self._flags = _Pool(), _Pool(), _Pool(), _Pool()
        self._place = {record.record_id: n for n, record in enumerate(records)}
        self._of = records
        self._quantities = [{id(q): k for k, q in enumerate(record.quantities)} for record in records]
        self._rows = [self._record(record) for record in records]
        self._tables: list[list[Any]] = []

    def add(self, table: SummaryTable) -> int:
        """Add a table and return its number."""
        places = [self._place.get(record_id) for record_id in table.records] or [None] * len(table.cells)
        rows = [
            [place, *(self._cell(place, column, cell) for column, cell in zip(table.fields, row, strict=True))]
            for place, row in zip(places, table.cells, strict=True)
        ]
        fields = [[c.head, c.unit_sign, c.kind, c.quantity, c.component] for c in table.fields]
        self._tables.append([fields, rows])
        return len(self._tables) - 1

    def as_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        names = dict.fromkeys(term[0] for term in self._terms)
        flags = dict.fromkeys(text.partition(":")[0] for text in self._flags)
        return {
            "state": STATE,
            "quality": QUALITY,
            "words": list(self._words),
            "terms": list(self._terms),
            "files": list(self._files),
            "flags": list(self._flags),
            "meanings": {name: VOCABULARY[name].meaning for name in names if name in VOCABULARY},
            "advice": {name: [*_advice(name)] for name in flags},
            "records": self._rows,
            "tables": self._tables,
        }

    def _cell(self, place: int | None, column: Column, cell: Cell) -> Any:
        """Return a cell: the place of a quantity in its record, a list of flags, or a text; None for nothing."""
        if isinstance(cell, Quantity):
            own = None if place is None else self._quantity_at(place, cell)
            return column.text(cell) if own is None else own
        if isinstance(cell, tuple):
            return [self._flags(text) for text in cell]
        return None if cell is None or cell == "" else column.text(cell)

    def _quantity_at(self, place: int, quantity: Quantity) -> int | None:
        found = self._quantities[place].get(id(quantity))
        if found is None:  # a copy that a table made of it
            own = self._of[place].quantities
            found = next((k for k, q in enumerate(own) if q == quantity), None)
        return found

    def _record(self, record: ResultRecord) -> list[Any]:
        word, state, quality, problem = self._words, record.state, record.quality, record.problem
        values = [getattr(state, name) for name in STATE]
        return [
            record.record_id,
            word(record.technique),
            word(f"{record.method}, version {record.method_version}"),
            word(record.status),
            [word(v) if isinstance(v, str) else None if v is None else [_short(v)] for v in values],
            [part for quantity in record.quantities for part in self._quantity(quantity)],
            [self._flags(text) for text in record.flags],
            [
                part
                for f in record.inputs
                for part in (self._files((f.path, f.sha256, f.size, f"{f.reader} {f.reader_version}")), f.selector)
            ],
            [] if quality is None else [_short(getattr(quality, name)) for name in QUALITY],
            [word(note) for note in record.notes],
            [self._place[p] for p in record.parents if p in self._place],
            [
                [word(a.name), word(a.comparison), _short(a.delta_bic), _short(a.probability), int(a.chosen)]
                for a in record.alternatives
            ],
            [] if problem is None else [problem.kind, problem.message, problem.source or "", problem.hint or ""],
            word(", ".join(f"{name} {version}" for name, version in sorted(record.software.items()))),
        ]

    def _quantity(self, quantity: Quantity) -> tuple[int, str | list[Any]]:
        """Return the place of what it is, and its text; with the parts of its error and what else is known, a list."""
        parts = tuple(quantity.budget)
        term = self._terms(
            (quantity.name, quantity.component or "", quantity.unit, quantity.role, quantity.sigma_kind, *parts)
        )
        text = _COLUMN.text(quantity)
        # of a value with a limit, the short text is the limit alone
        beside = "" if quantity.upper_limit is None else quantity.text()
        more = ", ".join(filter(None, (beside, quantity.intervals(), quantity.expr)))
        own: list[Any] = [text, *(f"{quantity.budget[part]:.2g}" for part in parts), *([more] if more else [])]
        return term, text if len(own) == 1 else own


_COLUMN = Column("value")


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def _advice(name: str) -> Iterable[str]:
    """Return what a flag says, what to do, and whether it warns."""
    flag = FLAGS.get(name)
    if flag is None:
        return ("a flag of its own: see the documentation of the package that sets it", "", "suspicious")
    return flag.meaning, "" if flag.do == "nothing" else flag.do, flag.severity


def as_script(data: object) -> str:
    """Return JSON that may stand inside a ``script`` element of a page, whatever its strings hold."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
