"""From records to what they say of a claim: which quantities are meant, how far apart they are, in which sigma."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from layerscope.claims.statistics import Evidence, Verdict, combine, holm, sigmas_of
from layerscope.claims.tables import ClaimTable, EvidenceTable, StoryTables
from layerscope.flags import FLAGS
from layerscope.records import Quantity, ResultRecord
from layerscope.records.formatting import format_confidence

__all__ = ["Compared", "Judged", "Weighed", "compare", "judge"]

_NEAR = 0.02
"""How far a record may be, of the number asked for, to be the one that is meant."""


@dataclass(frozen=True)
class Weighed:
    """One piece of evidence with what it rests on.

    Attributes
    ----------
    table : EvidenceTable
        As it was asked for.
    record, beside : ResultRecord or None
        That of the claim's state, and that of the state it is compared with.
    quantity, other : Quantity or None
        Of these records.
    difference, sigma : float or None
        What is compared with `table.than`, and its error.
    evidence : Evidence or None
        None where it could not be tested.
    why : str
        Why not; or how a limit was taken.
    doubts : tuple of str
        Names of suspicious flags of the records.
    """

    table: EvidenceTable
    record: ResultRecord | None = None
    beside: ResultRecord | None = None
    quantity: Quantity | None = None
    other: Quantity | None = None
    difference: float | None = None
    sigma: float | None = None
    evidence: Evidence | None = None
    why: str = ""
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judged:
    """A claim, what each technique says of it, what all say together, and that among all claims of the study."""

    claim: ClaimTable
    weighed: tuple[Weighed, ...]
    verdict: Verdict
    p_of_all: float | None = None


def judge(story: StoryTables, records: Sequence[ResultRecord]) -> list[Judged]:
    """Return what records say of the claims of a study.

    Parameters
    ----------
    story : StoryTables
    records : sequence of ResultRecord
        Failed ones say nothing.
    """
    found = []
    for claim in story.claims:
        weighed = tuple(_weigh(story, claim, table, records) for table in claim.evidence)
        verdict = combine([one.evidence for one in weighed if one.evidence is not None], claim.level)
        found.append(Judged(claim, weighed, verdict))
    tested = [n for n, one in enumerate(found) if one.verdict.p is not None]
    together = holm([found[n].verdict.p or 0.0 for n in tested])
    for n, p in zip(tested, together, strict=True):
        found[n] = replace(found[n], p_of_all=p)
    return found


@dataclass(frozen=True)
class Compared:
    """A quantity of one state beside the same of another.

    Attributes
    ----------
    record, beside : ResultRecord
    quantity, other : Quantity
    difference, sigma : float
        The first less the second, and its error.
    p, p_of_all : float
        Probability of so large a difference, of either sign, if there is none; and among all of the pair, after Holm.
    """

    record: ResultRecord
    beside: ResultRecord
    quantity: Quantity
    other: Quantity
    difference: float
    sigma: float
    p: float
    p_of_all: float = 1.0


# what tells of the instrument, of how much was measured, or of how the fit went, and not of the sample
_NOT_OF_THE_SAMPLE = (
    "attenuation.", "background.", "charge.", "edge.area", "fit.", "image.", "instrument.", "layer.boundary",
    "layer.normal", "noise.", "overlap.", "peak.area", "peak.height", "peak.net_area", "phase.scale", "signal.",
)  # fmt: skip


def compare(records: Sequence[ResultRecord], of: Sequence[str], against: Sequence[str]) -> list[Compared]:
    """Return every quantity that both states of a pair were measured for once, the surest difference first.

    Quantities belong together by technique, method, region, name and component, and along a profile by etch time and
    emission angle. What tells of the instrument or of how much was measured is left out, and what is merely numbered.

    Parameters
    ----------
    records : sequence of ResultRecord
    of, against : sequence of str
        Names of the samples in the records.
    """
    ours, theirs = _by_place(records, of), _by_place(records, against)
    found = []
    for place, own in ours.items():
        if len(own) != 1 or len(theirs.get(place, ())) != 1:
            continue
        (record, quantity), (beside, other) = own[0], theirs[place][0]
        try:
            difference, sigma, _ = _difference(quantity, other, ())
        except _NotTested:
            continue
        p = Evidence(record.technique, difference / sigma, directed=False).p
        found.append(Compared(record, beside, quantity, other, difference, sigma, p))
    together = holm([one.p for one in found])
    found = [replace(one, p_of_all=p) for one, p in zip(found, together, strict=True)]
    return sorted(found, key=lambda one: -abs(one.difference / one.sigma))


def _by_place(
    records: Sequence[ResultRecord], names: Sequence[str]
) -> dict[tuple[object, ...], list[tuple[ResultRecord, Quantity]]]:
    found: dict[tuple[object, ...], list[tuple[ResultRecord, Quantity]]] = {}
    for record in records:
        state = record.state
        if state.sample not in names or record.status == "failed":
            continue
        where = (record.technique, record.method, state.region, state.etch_time_s, state.angle_deg)
        for quantity in record.quantities:
            listed = re.fullmatch(r"\w+ \d+", quantity.component or "")  # a place in a list is no name
            if quantity.role != "fixed" and not listed and not quantity.name.startswith(_NOT_OF_THE_SAMPLE):
                found.setdefault((*where, quantity.name, quantity.component), []).append((record, quantity))
    return found


class _NotTested(Exception):
    """Why a piece of evidence cannot be had."""


def _weigh(story: StoryTables, claim: ClaimTable, table: EvidenceTable, records: Sequence[ResultRecord]) -> Weighed:
    of, against = table.of or claim.of, table.against or claim.against
    try:
        record, quantity = _found(table, story.names_of(of), records)
        if against is None:
            beside = other = None
        else:
            beside, other = _found(table, story.names_of(against), records)
        value, sigma, how = _difference(quantity, other, table.shared)
    except _NotTested as reason:
        return Weighed(table, why=str(reason))
    about = [one for one in (record, beside) if one is not None]
    doubts = dict.fromkeys(name for one in about for name in _doubts(one))
    away = (value - table.than) / sigma
    if table.expects == "within":
        assert table.margin is not None  # noqa: S101 - the table makes sure
        away = (table.margin - abs(value - table.than)) / sigma
    elif table.expects == "less":
        away = -away
    evidence = Evidence(table.technique, away, directed=table.expects != "differs")
    return Weighed(table, record, beside, quantity, other, value, sigma, evidence, how, tuple(doubts))


def _doubts(record: ResultRecord) -> Iterable[str]:
    for text in record.flags:
        name = text.partition(":")[0]
        if name not in FLAGS or FLAGS[name].severity == "suspicious":
            yield name


def _found(
    table: EvidenceTable, names: Sequence[str], records: Sequence[ResultRecord]
) -> tuple[ResultRecord, Quantity]:
    """Return the record and quantity that are meant."""
    own = [r for r in records if r.state.sample in names and r.technique == table.technique]
    if not own:
        raise _NotTested(f"no record of {' or '.join(names)} by {table.technique}")
    chosen = [
        (record, quantity)
        for record in own
        if record.status != "failed"
        and table.region in (None, record.state.region)
        and table.method in (None, record.method)
        and _at(record, table.at)
        for quantity in record.quantities
        if quantity.name == table.quantity and quantity.component == table.component
    ]
    called = table.quantity + (f" of {table.component}" if table.component else "")
    if not chosen:
        raise _NotTested(f"no record of {own[0].state.sample} holds {called} there")
    if len(chosen) > 1 and table.pick == "only":
        raise _NotTested(f"{len(chosen)} records of {own[0].state.sample} hold {called}: say which (at, pick)")
    return chosen[-1 if table.pick == "last" else 0]


def _at(record: ResultRecord, at: dict[str, float]) -> bool:
    for name, wanted in at.items():
        value = getattr(record.state, name)
        if not isinstance(value, int | float) or abs(value - wanted) > _NEAR * max(abs(wanted), 1e-9):
            return False
    return True


def _difference(quantity: Quantity, other: Quantity | None, shared: Sequence[str]) -> tuple[float, float, str]:
    """Return a value, or its difference to another, with its error, and in words what was taken how.

    Parts of the errors that both have in common enter by their difference alone.
    """
    value, sigma, how = _taken(quantity)
    if other is None:
        return value, sigma, how
    if other.unit != quantity.unit:
        raise _NotTested(f"one is in {quantity.unit}, the other in {other.unit}")
    beside, error, also = _taken(other)
    variance = sigma**2 + error**2
    for part in shared:
        one, two = quantity.budget.get(part, 0.0), other.budget.get(part, 0.0)
        variance += (one - two) ** 2 - one**2 - two**2
    if variance <= 0:
        raise _NotTested("the parts that are shared are all of the error")
    return value - beside, math.sqrt(variance), "; ".join(dict.fromkeys(filter(None, (how, also))))


def _taken(quantity: Quantity) -> tuple[float, float, str]:
    """Return value and error of a quantity; of an upper limit 0 and the error that the limit comes from."""
    if quantity.value is not None and quantity.sigma:
        return quantity.value, quantity.sigma, ""
    if quantity.value is None and quantity.upper_limit and quantity.limit_confidence:
        sigma = quantity.upper_limit / sigmas_of(1.0 - quantity.limit_confidence)
        said = f"a limit at {format_confidence(quantity.limit_confidence)} taken as 0 with the error that gives it"
        return 0.0, sigma, said
    if quantity.role == "fixed":
        raise _NotTested(f"{quantity.label} was held, not measured")
    raise _NotTested(f"{quantity.label} is known as an interval alone")
