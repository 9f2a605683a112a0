"""What a study says of its samples and what it claims: the tables that a user writes."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from layerscope.options import Positive, RecipeModel, not_empty, unique
from layerscope.records import SampleState
from layerscope.records.vocabulary import VOCABULARY, nearest

__all__ = ["ClaimTable", "EvidenceTable", "PairTable", "SampleTable", "StoryTables"]

_OWN = "x."  # quantities of packages from outside
Expectation = Literal["greater", "less", "differs", "within"]


class SampleTable(RecipeModel):
    """A sample of a study, and what the recipes call it in each of its states."""

    name: Annotated[str, Field(min_length=1, description="name of the sample in the study")]
    states: Annotated[
        dict[str, tuple[str, ...]],
        Field(min_length=1, description="names of the sample in the records, by its state, e.g. `pristine`"),
    ]


def _known(name: str) -> str:
    if name not in VOCABULARY and not name.startswith(_OWN):
        near = nearest(name, list(VOCABULARY))
        raise ValueError(f"there is no quantity {name!r}" + (f": did you mean {near!r}?" if near else ""))
    return name


def _of_state(at: dict[str, float]) -> dict[str, float]:
    for key in at:
        if key not in SampleState.model_fields:
            raise ValueError(f"a record has no {key!r}")
    return at


class EvidenceTable(RecipeModel):
    """What one technique can say of a claim: a quantity of one state beside another state, or beside a number."""

    technique: Annotated[str, Field(min_length=1, description="technique of the records")]
    quantity: Annotated[str, AfterValidator(_known), Field(description="name of the quantity")]
    component: str | None = Field(default=None, description="its component: species, phase, element or layer")
    region: str | None = Field(default=None, description="region of the records; any where it is not given")
    method: str | None = Field(default=None, description="method of the records; any where it is not given")
    at: Annotated[dict[str, float], AfterValidator(_of_state)] = Field(
        default={}, description="numbers of the state, e.g. `{etch_time_s = 0}`; the nearest record within 2 % counts"
    )
    pick: Literal["only", "first", "last"] = Field(
        default="only", description="which of several records along a series; `only`: there must be one"
    )
    of: str | None = Field(default=None, description="as of the claim, where this evidence is of another state")
    against: str | None = Field(default=None, description="as of the claim")
    expects: Annotated[Expectation, Field(description="what the claim foretells of the quantity")]
    than: float = Field(default=0.0, description="number that it is compared with, or that a difference exceeds")
    margin: Positive | None = Field(default=None, description="with `within`: how far it may be from `than`")
    shared: tuple[str, ...] = Field(
        default=(), description="parts of the error's budget that both states have in common, e.g. `rsf_set`"
    )

    @model_validator(mode="after")
    def _margin_where_within(self) -> Self:
        if (self.expects == "within") != (self.margin is not None):
            raise ValueError('`margin` goes with expects = "within", and with that alone')
        return self


class ClaimTable(RecipeModel):
    """A statement, and what each technique would have to show if it holds."""

    says: Annotated[str, Field(min_length=1, description="the statement, in words")]
    of: Annotated[str, Field(min_length=1, description="sample and state that it is about, `B-LCO: pristine`")]
    against: str | None = Field(default=None, description="sample and state that it is compared with")
    level: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        default=0.05, description="probability at which it is made although nothing is there"
    )
    evidence: Annotated[tuple[EvidenceTable, ...], AfterValidator(not_empty)] = Field(
        description="what each technique can say of it"
    )


class PairTable(RecipeModel):
    """Two states that are compared in all that both have been measured for."""

    of: Annotated[str, Field(min_length=1, description="sample and state, `B-LCO: 100 cycles`")]
    against: Annotated[str, Field(min_length=1, description="sample and state that it is compared with")]


class StoryTables(RecipeModel):
    """What a study says beside its recipes: its samples with their states, pairs of these, and its claims."""

    samples: tuple[SampleTable, ...] = Field(default=(), description="samples and their states")
    pairs: tuple[PairTable, ...] = Field(default=(), description="states that are compared in everything")
    claims: tuple[ClaimTable, ...] = Field(default=(), description="statements that the records are weighed for")

    @model_validator(mode="after")
    def _names_lead_somewhere(self) -> Self:
        unique([sample.name for sample in self.samples], "samples")
        unique([claim.says for claim in self.claims], "claims")
        known = [f"{sample.name}: {state}" for sample in self.samples for state in sample.states]
        named = [name for pair in self.pairs for name in (pair.of, pair.against)]
        for claim in self.claims:
            also = [name for one in claim.evidence for name in (one.of, one.against)]
            named += [name for name in (claim.of, claim.against, *also) if name is not None]
        for name in named:
            if name not in known:
                near = nearest(name, known)
                hint = f"did you mean {near!r}?" if near else f"known: {', '.join(known) or 'none'}"
                raise ValueError(f"there is no sample and state {name!r}; {hint}")
        return self

    def names_of(self, state: str) -> tuple[str, ...]:
        """Return what records call a sample in a state, ``B-LCO: pristine``."""
        sample, _, of = state.partition(": ")
        return next(one.states[of] for one in self.samples if one.name == sample)
