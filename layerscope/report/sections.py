"""What a report is made of beside the tables of each technique: sections and checklists that a technique adds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from layerscope.installed import installed
from layerscope.records import ResultRecord
from layerscope.runs.load import Run
from layerscope.runs.summary import SummaryTable, words_table

__all__ = ["SECTIONS_GROUP", "CheckItem", "Checklist", "ReportSection", "technique_sections"]

SECTIONS_GROUP = "layerscope.sections"
"""Entry points of what techniques add to a report: functions of a run that return sections, in the order of names."""


@dataclass(frozen=True)
class CheckItem:
    """One thing that a standard or a journal asks to be reported.

    Attributes
    ----------
    asks : str
        What is to be reported.
    answer : str
        What the records say of it; what is missing and where to write it, if they do not.
    state : {"given", "part", "missing", "no need"}
        ``part``: for some of the records.
    """

    asks: str
    answer: str
    state: Literal["given", "part", "missing", "no need"] = "given"

    @classmethod
    def of(
        cls,
        asks: str,
        records: Sequence[ResultRecord],
        says: Callable[[ResultRecord], str | None],
        *,
        else_do: str,
    ) -> CheckItem:
        """Return an item that is answered by what each record says; equal answers are given once.

        Parameters
        ----------
        asks : str
        records : sequence of ResultRecord
        says : callable
            What a record says of it; None or nothing where it is silent.
        else_do : str
            What to do where records are silent.
        """
        answers = [says(record) for record in records]
        told = list(dict.fromkeys(answer for answer in answers if answer))
        more = f" and {len(told) - _MOST_ANSWERS} more" if len(told) > _MOST_ANSWERS else ""
        words = "; ".join(told[:_MOST_ANSWERS]) + more
        silent = sum(not answer for answer in answers)
        if not told:
            return cls(asks, else_do, "missing")
        if silent:
            return cls(asks, f"{words}. Not for {silent} of {len(answers)} records: {else_do}", "part")
        return cls(asks, words)


@dataclass(frozen=True)
class Checklist:
    """What a standard or a journal asks for, filled from records.

    Attributes
    ----------
    title : str
    source : str
        Where the list comes from.
    items : tuple of CheckItem
    """

    title: str
    source: str
    items: tuple[CheckItem, ...]

    def table(self) -> SummaryTable:
        """Return it as a table of words."""
        rows = [(item.asks, item.state, item.answer) for item in self.items]
        return words_table(self.title, ("asked for", "state", "in the records"), rows, note=self.source)

    @property
    def missing(self) -> int:
        """How many items are not answered, or not for all records."""
        return sum(item.state in ("missing", "part") for item in self.items)


@dataclass(frozen=True)
class ReportSection:
    """A part of a report.

    Attributes
    ----------
    title : str
    says : str
        A paragraph above its tables; empty for none.
    tables : tuple of SummaryTable
    checklists : tuple of Checklist
    files : tuple of (str, str)
        Names and texts of files that the page brings and hands out.
    """

    title: str
    says: str = ""
    tables: tuple[SummaryTable, ...] = ()
    checklists: tuple[Checklist, ...] = ()
    files: tuple[tuple[str, str], ...] = ()


_MOST_ANSWERS = 6
#: What an entry point of the group is.
SectionMaker: TypeAlias = Callable[[Run], Sequence[ReportSection]]


def technique_sections(run: Run) -> list[ReportSection]:
    """Return what the installed techniques add to the report of a run; a technique without records adds nothing."""
    found: list[ReportSection] = []
    for point in installed(SECTIONS_GROUP).values():
        maker: SectionMaker = point.load()
        found += maker(run)
    return found
