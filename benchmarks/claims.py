"""How often a claim is made where nothing is there, and how often where something is.

``python benchmarks/claims.py [STUDIES]``: simulated studies of two samples by four techniques, at the level of records,
1 000 for each line of the table.

``python benchmarks/claims.py spectra [STUDIES] [BLOCK ...]``: studies of two samples, drawn as files of spectra
and read, fitted and weighed by the pipelines (`claims_spectra.py`); about 1 CPU-s each.
"""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Callable, Sequence

import claims_spectra
import numpy as np

from layerscope.claims import ClaimTable, EvidenceTable, SampleTable, StoryTables, holm, judge
from layerscope.records import Quantity, ResultRecord, SampleState

TECHNIQUES = ("xps", "sxas", "xrd", "hrtem")
SIGMA = {"xps": 2.0, "sxas": 0.03, "xrd": 0.004, "hrtem": 0.15}
STORY = {"samples": (SampleTable(name="S", states={"a": ("A",), "b": ("B",)}),)}
Draw = Callable[[np.random.Generator, str, int], float]


def record(sample: str, technique: str, quantities: Sequence[Quantity]) -> ResultRecord:
    name = hashlib.sha256(f"{sample}{technique}".encode()).hexdigest()
    return ResultRecord(
        record_id=name, technique=technique, method=technique, method_version="1",
        state=SampleState(sample=sample), quantities=tuple(quantities),
    )  # fmt: skip


def measured(component: str, value: float, sigma: float, **more: object) -> Quantity:
    return Quantity(
        name="x.amount", component=component, value=value, sigma=sigma, sigma_kind="covariance", unit="1", **more
    )


def study(
    rng: np.random.Generator, effect: Sequence[float], *, pieces: int = 1, alike: float = 0.0
) -> list[ResultRecord]:
    """Return the records of two samples; `effect` is the difference of each technique in its own standard errors."""
    records = []
    for technique, size in zip(TECHNIQUES, effect, strict=True):
        sigma = SIGMA[technique]
        for sample, shift in (("A", size * np.sqrt(2.0)), ("B", 0.0)):
            common, own = rng.normal(), rng.normal(size=pieces)
            noise = np.sqrt(alike) * common + np.sqrt(1.0 - alike) * own
            values = 10.0 + sigma * (shift + noise)
            records.append(record(sample, technique, [measured(f"q{k}", v, sigma) for k, v in enumerate(values)]))
    return records


def claims(expects: str, pieces: int = 1, number: int = 1, **more: object) -> StoryTables:
    evidence = tuple(
        EvidenceTable(technique=t, quantity="x.amount", component=f"q{k}", expects=expects, **more)
        for t in TECHNIQUES
        for k in range(pieces)
    )
    made = tuple(ClaimTable(says=f"claim {n}", of="S: a", against="S: b", evidence=evidence) for n in range(number))
    return StoryTables(**STORY, claims=made)


def shared(rng: np.random.Generator) -> list[ResultRecord]:
    """Return records whose errors are mostly a factor that both samples have in common."""
    records = []
    for technique in TECHNIQUES:
        factor, small, large = rng.normal(), 0.1, 1.0
        for sample in ("A", "B"):
            value = 10.0 + large * factor + small * rng.normal()
            budget = {"counting": small, "factor": large}
            records.append(
                record(sample, technique, [measured("q0", value, float(np.hypot(small, large)), budget=budget)])
            )
    return records


def limits(rng: np.random.Generator) -> list[ResultRecord]:
    """Return records of what is not there: a limit, or a value where noise looks like one."""
    records = []
    for technique in TECHNIQUES:
        for sample in ("A", "B"):
            value = float(rng.normal())
            limit = Quantity(
                name="x.amount", component="q0", unit="1", upper_limit=max(value, 0.0) + 1.645, limit_confidence=0.95,
                role="derived",
            )  # fmt: skip
            records.append(record(sample, technique, [measured("q0", value, 1.0) if value > 2.0 else limit]))
    return records


def said(make: Callable[[np.random.Generator], list[ResultRecord]], story: StoryTables, studies: int) -> Counter[str]:
    rng = np.random.default_rng(7)
    return Counter(judge(story, make(rng))[0].verdict.said for _ in range(studies))


def several(studies: int, number: int = 12) -> tuple[float, float]:
    """Return how often a study of so many claims makes a false one, claim by claim and after Holm."""
    rng, story = np.random.default_rng(8), claims("greater")
    raw = adjusted = 0
    for _ in range(studies):
        ps = [judge(story, study(rng, (0, 0, 0, 0)))[0].verdict.p or 0.0 for _ in range(number)]
        raw += min(ps) < 0.05
        adjusted += min(holm(ps)) < 0.05
    return raw / studies, adjusted / studies


def main() -> int:
    words = sys.argv[1:]
    if words[:1] == ["spectra"]:
        return claims_spectra.main(int(words[1]) if len(words) > 1 else 1000, words[2:])
    studies = int(words[0]) if words else 1000
    nothing, one, two = (0, 0, 0, 0), (1, 1, 1, 1), (2, 2, 2, 2)
    directed, either = claims("greater"), claims("differs")
    wrong = 0
    print(f"{studies} studies a line, claims at 5 %, four techniques; per cent of studies")
    print(f"{'':46} {'made':>6} {'against':>8} {'wanted':>10}")

    def line(words: str, made: Counter[str], low: float, high: float) -> None:
        nonlocal wrong
        share, against = 100 * made["stands"] / studies, 100 * (made["contradicted"] + made["the opposite"]) / studies
        missed = not low <= share <= high
        wrong += missed
        wanted = f"{low:g}-{high:g}"
        print(f"{words:46} {share:6.1f} {against:8.1f} {wanted:>10}{'  MISSED' if missed else ''}", flush=True)

    line("nothing there, one direction", said(lambda r: study(r, nothing), directed, studies), 3, 7)
    line("nothing there, either direction", said(lambda r: study(r, nothing), either, studies), 3, 7)
    pair, careful = claims("greater", 2), claims("differs", 2)
    line(
        "nothing there, two pieces each, one file",
        said(lambda r: study(r, nothing, pieces=2, alike=1.0), pair, studies),
        3,
        7,
    )
    line("  the pieces independent", said(lambda r: study(r, nothing, pieces=2), pair, studies), 0, 7)
    line("  independent, either direction", said(lambda r: study(r, nothing, pieces=2), careful, studies), 0, 7)
    line("nothing there, a shared factor, named", said(shared, claims("greater", shared=("factor",)), studies), 3, 7)
    line("  not named", said(shared, directed, studies), 0, 7)
    line("not there at all: limits", said(limits, directed, studies), 0, 7)
    line("1 sigma in each technique", said(lambda r: study(r, one), directed, studies), 55, 75)
    line("  either direction", said(lambda r: study(r, one), either, studies), 25, 50)
    line("2 sigma in each technique", said(lambda r: study(r, two), directed, studies), 95, 100)
    line("3 sigma in one technique alone", said(lambda r: study(r, (3, 0, 0, 0)), directed, studies), 35, 55)
    line("3 sigma in three, -4 in the fourth", said(lambda r: study(r, (3, 3, 3, -4)), directed, studies), 0, 10)
    fewer = max(studies // 5, 1)
    raw, adjusted = several(fewer)
    print(f"twelve claims a study, {fewer} studies: a false one in {100 * raw:.0f} %", end="")
    print(f", after Holm {100 * adjusted:.1f} %")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
