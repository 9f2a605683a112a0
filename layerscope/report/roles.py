"""What was refined, tied and held, as one table of words for all records of a technique."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from layerscope.records import Quantity, ResultRecord
from layerscope.runs.columns import Column, SummaryTable

__all__ = ["roles_table"]

_MOST_ALIKE = 3
"""Quantities of one name up to which each is named."""
_ROLES = (("refined", "refined"), ("constrained", "tied"), ("fixed", "held"))


def roles_table(records: Iterable[ResultRecord], title: str = "What was refined, tied and held") -> SummaryTable:
    """Return which quantities of each sample, region and component were refined, tied to others, or held.

    Parameters
    ----------
    records : iterable of ResultRecord
        Of a series, those of its levels and frames count together: what was refined in one of them is named.
    title : str, optional

    Returns
    -------
    SummaryTable
        A row a component; each leads to the first record of its group.
    """
    groups: dict[tuple[str, str, str], list[ResultRecord]] = {}
    for record in records:
        if record.status != "failed":
            key = (record.state.sample, record.state.region or "", record.method)
            groups.setdefault(key, []).append(record)
    rows, ids = [], []
    for key, of in groups.items():
        parts: dict[str, dict[str, list[Quantity]]] = {}
        for quantity in (q for record in of for q in record.quantities if q.role != "derived"):
            roles = parts.setdefault((quantity.component or "").partition("/")[0], {})
            roles.setdefault(quantity.role, []).append(quantity)
        for component, roles in parts.items():
            rows.append((*key, component, *(_names(roles.get(role, ())) for role, _ in _ROLES)))
            ids.append(of[0].record_id)
    keys = [Column(head, kind="key") for head in ("sample", "region", "method", "component")]
    words = [Column(head, kind="text") for _, head in _ROLES]
    kept = [n for n in range(len(keys) + len(words)) if any(row[n] for row in rows)]
    fields = tuple(column for n, column in enumerate((*keys, *words)) if n in kept)
    return SummaryTable(title, fields, tuple(tuple(row[n] for n in kept) for row in rows), records=tuple(ids))


def _names(quantities: Sequence[Quantity]) -> str:
    """Return the names of quantities, those of a tie with what they are tied to; many of one name as their number."""
    alike: dict[str, dict[str, None]] = {}
    for quantity in quantities:
        own = (quantity.component or "").partition("/")[2]
        tie = f" = {quantity.expr}" if quantity.expr else ""
        alike.setdefault(quantity.name, {})[f"{f'{own} ' if own else ''}{quantity.name}{tie}"] = None
    words = []
    for name, each in alike.items():
        words += list(each) if len(each) <= _MOST_ALIKE else [f"{name} ({len(each)})"]
    return ", ".join(words)
