"""Claims: evidence of techniques in sigma, combined with stated assumptions, contradictions and gaps named."""

from __future__ import annotations

import hashlib
import math
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from layerscope.claims import Evidence, StoryTables, combine, compare, holm, judge
from layerscope.errors import RecipeError
from layerscope.records import FitQuality, Quantity, ResultRecord, SampleState, failed_record
from layerscope.report.story import story_sections
from layerscope.runs.load import Run
from layerscope.runs.recipe import StudyRecipe, parse_recipe

ROOT = Path(__file__).resolve().parents[2]
PIECE = {"technique": "x", "quantity": "phase.fraction", "expects": "less"}


def record(sample: str, technique: str, *quantities: Quantity, **more: Any) -> ResultRecord:
    name = hashlib.sha256(repr((sample, technique, more)).encode()).hexdigest()
    flags = more.pop("flags", ())
    return ResultRecord(
        record_id=name, technique=technique, method=technique, method_version="1",
        state=SampleState(sample=sample, **more), quantities=quantities, quality=FitQuality(flags=flags),
    )  # fmt: skip


def amount(value: float | None, sigma: float | None = None, **more: Any) -> Quantity:
    kind = {} if sigma is None else {"sigma": sigma, "sigma_kind": "covariance"}
    return Quantity(name="phase.fraction", component="H1-3", unit="1", value=value, **kind, **more)


def story(*evidence: dict[str, Any], **claim: Any) -> StoryTables:
    table = {"quantity": "phase.fraction", "component": "H1-3", "expects": "less"}
    return StoryTables.model_validate(
        {
            "samples": [
                {"name": "B", "states": {"4.6 V": ["B-LCO"]}},
                {"name": "P", "states": {"4.6 V": ["P-LCO"]}},
            ],
            "claims": [
                {
                    "says": "less in B", "of": "B: 4.6 V", "against": "P: 4.6 V",
                    "evidence": [{**table, **one} for one in evidence], **claim,
                }
            ],
        }
    )  # fmt: skip


def test_a_piece_is_the_difference_in_its_standard_errors() -> None:
    records = [record("B-LCO", "xrd", amount(0.2, 0.03)), record("P-LCO", "xrd", amount(0.4, 0.04))]
    (judged,) = judge(story({"technique": "xrd"}), records)
    (weighed,) = judged.weighed
    assert weighed.difference == pytest.approx(-0.2)
    assert weighed.sigma == pytest.approx(0.05)
    assert judged.verdict.sigmas == pytest.approx(4.0)
    assert judged.verdict.p == pytest.approx(stats.norm.sf(4.0))
    assert judged.verdict.said == "stands"


def test_two_techniques_are_added_after_stouffer_and_one_against_takes_away() -> None:
    both = combine([Evidence("a", 2.0), Evidence("b", 1.0)])
    assert both.sigmas == pytest.approx(3.0 / math.sqrt(2.0))
    assert both.rule == "Stouffer"
    torn = combine([Evidence("a", 6.0), Evidence("b", -2.5)])
    assert torn.said == "contradicted"
    assert torn.against == ("b",)
    assert combine([Evidence("a", -3.0), Evidence("b", 0.1)]).said == "the opposite"
    assert combine([Evidence("a", 0.3), Evidence("b", 0.1)]).said == "not shown"


def test_pieces_of_one_technique_count_once() -> None:
    once = combine([Evidence("a", 2.0), Evidence("b", 1.0)])
    thrice = combine([Evidence("a", 2.0), Evidence("a", 2.0), Evidence("a", 2.0), Evidence("b", 1.0)])
    assert thrice.p == pytest.approx(once.p)


def test_without_a_direction_probabilities_are_multiplied_after_fisher() -> None:
    verdict = combine([Evidence("a", -2.0, directed=False), Evidence("b", 1.0, directed=False)])
    ps = [2 * stats.norm.sf(2.0), 2 * stats.norm.sf(1.0)]
    assert verdict.p == pytest.approx(stats.combine_pvalues(ps, "fisher").pvalue)
    assert verdict.rule == "Fisher"


@pytest.mark.parametrize("directed", [True, False])
def test_where_nothing_is_there_five_per_cent_of_claims_are_made(directed: bool) -> None:
    rng = np.random.default_rng(3)
    draws = rng.normal(size=(3000, 4))
    made = sum(
        combine([Evidence(f"t{k}", z, directed=directed) for k, z in enumerate(row)]).said == "stands" for row in draws
    )
    assert 0.03 <= made / 3000 <= 0.07


def test_what_both_states_share_of_their_errors_is_not_counted_twice() -> None:
    budget = {"counting": 0.003, "structure factor": 0.04}
    sigma = math.hypot(0.003, 0.04)
    records = [
        record("B-LCO", "xrd", amount(0.20, sigma, budget=budget)),
        record("P-LCO", "xrd", amount(0.22, sigma, budget=budget)),
    ]
    (apart,) = judge(story({"technique": "xrd"}), records)
    (shared,) = judge(story({"technique": "xrd", "shared": ["structure factor"]}), records)
    assert apart.weighed[0].sigma == pytest.approx(sigma * math.sqrt(2.0))
    assert shared.weighed[0].sigma == pytest.approx(0.003 * math.sqrt(2.0))
    assert (apart.verdict.said, shared.verdict.said) == ("not shown", "stands")


def test_within_a_margin_must_be_shown_and_not_only_not_refuted() -> None:
    wide = [record("B-LCO", "hrtem", amount(3.1, 2.0))]
    narrow = [record("B-LCO", "hrtem", amount(3.1, 0.1))]
    table = {"technique": "hrtem", "expects": "within", "than": 3.0, "margin": 0.5}
    asked = story(table, against=None)
    assert judge(asked, wide)[0].verdict.said == "not shown"
    verdict = judge(asked, narrow)[0].verdict
    assert verdict.said == "stands"
    assert verdict.sigmas == pytest.approx(4.0)


def test_a_limit_is_zero_with_the_error_that_gives_it_and_a_held_value_is_no_evidence() -> None:
    limit = amount(None, upper_limit=0.0164485, limit_confidence=0.95)
    records = [record("B-LCO", "xrd", limit), record("P-LCO", "xrd", amount(0.05, 0.01))]
    (judged,) = judge(story({"technique": "xrd"}), records)
    assert judged.weighed[0].sigma == pytest.approx(0.01 * math.sqrt(2.0), rel=1e-4)
    assert "limit at 95 %" in judged.weighed[0].why
    held = [record("B-LCO", "xrd", amount(1.0, role="fixed")), records[1]]
    (judged,) = judge(story({"technique": "xrd"}), held)
    assert judged.verdict.said == "not tested"
    assert "was held" in judged.weighed[0].why


def test_what_cannot_be_tested_says_why() -> None:
    good = [record("B-LCO", "xrd", amount(0.2, 0.03)), record("P-LCO", "xrd", amount(0.4, 0.04))]
    twice = [*good, record("B-LCO", "xrd", amount(0.3, 0.03), voltage_V=4.5)]
    broken = failed_record(
        ValueError("x"), SampleState(sample="B-LCO"), technique="xrd", method="xrd", method_version="1"
    )
    for evidence, records, why in (
        ({"technique": "eels"}, good, "no record of B-LCO by eels"),
        ({"technique": "xrd", "component": "O3"}, good, "holds phase.fraction of O3"),
        ({"technique": "xrd"}, twice, "2 records of B-LCO hold phase.fraction of H1-3: say which"),
        ({"technique": "xrd"}, [broken, good[1]], "no record of B-LCO holds"),
    ):
        (judged,) = judge(story(evidence), records)
        assert judged.verdict.said == "not tested"
        assert why in judged.weighed[0].why
    (judged,) = judge(story({"technique": "xrd", "at": {"voltage_V": 4.5}, "against": None, "of": "B: 4.6 V"}), twice)
    assert judged.weighed[0].why.startswith("no record of P-LCO holds")


def test_a_suspicious_flag_is_a_doubt_and_a_note_is_none() -> None:
    records = [
        record("B-LCO", "xrd", amount(0.2, 0.03), flags=("OVERDISPERSED:3",)),
        record("P-LCO", "xrd", amount(0.4, 0.04), flags=("CORRELATED:a~b 0.97",)),
    ]
    (judged,) = judge(story({"technique": "xrd"}), records)
    assert judged.weighed[0].doubts == ("OVERDISPERSED",)


def test_a_pair_is_compared_in_all_that_both_were_measured_for_once() -> None:
    def of(name: str, component: str, value: float) -> Quantity:
        return Quantity(name=name, component=component, value=value, sigma=0.1, sigma_kind="counting", unit="nm")

    ours = (of("layer.thickness", "CoO", 5.0), of("layer.thickness", "a", 3.0), of("lattice.d_spacing", "spot 3", 9.0))
    theirs = (
        of("layer.thickness", "CoO", 3.0),
        of("layer.thickness", "a", 3.05),
        of("lattice.d_spacing", "spot 3", 1.0),
    )
    records = [
        record("B-LCO", "hrtem", *ours, amount(0.5, 0.1)),
        record("P-LCO", "hrtem", *theirs),
        record("B-LCO", "xps", amount(0.5, 0.1), etch_time_s=0.0),
        record("P-LCO", "xps", amount(0.5, 0.1), etch_time_s=30.0),
    ]
    found = compare(records, ("B-LCO",), ("P-LCO",))
    assert [one.quantity.component for one in found] == ["CoO", "a"]
    assert found[0].difference == pytest.approx(2.0)
    assert found[0].sigma == pytest.approx(0.1 * math.sqrt(2.0))
    assert found[1].p == pytest.approx(2 * stats.norm.sf(0.05 / (0.1 * math.sqrt(2.0))))
    assert found[1].p_of_all == pytest.approx(found[1].p)
    assert found[0].p_of_all == pytest.approx(2 * found[0].p)


def test_claims_of_one_study_are_held_together_after_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"of": "B: 4.5 V"}, "did you mean 'B: 4.6 V'"),
        ({"evidence": [{"technique": "x", "quantity": "phase.fractoin", "expects": "less"}]}, "phase.fraction"),
        ({"evidence": [{"technique": "x", "quantity": "phase.fraction", "expects": "within"}]}, "margin"),
        (
            {"evidence": [{"technique": "x", "quantity": "phase.fraction", "expects": "less", "at": {"volt": 4}}]},
            "volt",
        ),
    ],
)
def test_a_study_with_a_wrong_claim_is_refused_with_the_name_that_was_meant(
    wrong: dict[str, Any], message: str
) -> None:
    claim = {
        "says": "c",
        "of": "B: 4.6 V",
        "evidence": [{"technique": "x", "quantity": "phase.fraction", "expects": "less"}],
    }
    raw = {
        "layerscope": 1,
        "recipes": ["a.toml"],
        "samples": [{"name": "B", "states": {"4.6 V": ["B-LCO"]}}],
        "claims": [{**claim, **wrong}],
    }
    with pytest.raises(RecipeError, match=message):
        parse_recipe(StudyRecipe, raw, "study.toml")


def test_the_claims_of_the_reference_study_are_understood() -> None:
    raw = tomllib.loads((ROOT / "reference_data" / "study.toml").read_text(encoding="utf-8"))
    study = parse_recipe(StudyRecipe, raw, "study.toml")
    assert len(study.recipes) == len(set(study.recipes))
    assert {claim.of.partition(":")[0] for claim in study.claims} <= {sample.name for sample in study.samples}


def test_what_was_not_detected_stands_beside_a_value_by_its_limit_alone(tmp_path: Path) -> None:
    absent = amount(-0.004, 0.004, upper_limit=0.005, limit_confidence=0.95)
    records = (record("B-LCO", "rietveld", amount(0.4, 0.01)), record("P-LCO", "rietveld", absent))
    samples = [{"name": name, "states": {"4.6 V": [f"{name}-LCO"]}} for name in "BP"]
    told = {"samples": samples, "pairs": [{"of": "B: 4.6 V", "against": "P: 4.6 V"}]}
    parts = story_sections(Run(tmp_path, records, {"story": told}))
    (table,) = next(part.tables for part in parts if part.title == "Pairs")
    assert "< 0.0050 (95 %)" in table.rows[0]
    assert not any("-0.004" in str(cell) and "<" in str(cell) for cell in table.rows[0])
