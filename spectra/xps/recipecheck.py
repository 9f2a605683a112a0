"""What can be wrong with a recipe beyond its keys: found before any file is opened, and told once for all series."""

from __future__ import annotations

from layerscope.errors import LayerscopeError, RecipeError

from .options import RegionTable
from .overlap import P2S_FROM
from .peakmodel import build_model
from .quantify import QuantificationTable
from .recipe import XpsRecipe
from .rsf import get_rsf_set
from .valence import get_law

__all__ = ["recipe_problems"]


def recipe_problems(recipe: XpsRecipe) -> list[RecipeError]:
    """Return every error of a recipe: models that cannot be built, sensitivities and laws that are not known.

    Parameters
    ----------
    recipe : XpsRecipe
        A recipe whose keys are in order.

    Returns
    -------
    list of RecipeError
        Each names its table.
    """
    problems = []
    for index, region in enumerate(recipe.regions):
        try:
            build_model(region, region.background, "none")
        except LayerscopeError as error:
            problems.append(_located(error, f"regions[{index}] ({region.name})"))
            continue
        problems += _without_optional(region, f"regions[{index}] ({region.name})")
    problems += _quantification(recipe)
    if recipe.mn_valence is not None:
        try:
            get_law(recipe.mn_valence.law)
        except LayerscopeError as error:
            problems.append(_located(error, "mn_valence.law"))
    return problems


def _without_optional(region: RegionTable, where: str) -> list[RecipeError]:
    """Find constraints that lean on a component which the data may not need."""
    names = frozenset(c.name for c in region.components)
    problems = []
    for c in region.components:
        if c.optional and len(names) > 1:
            try:
                build_model(region, region.background, "none", include=names - {c.name})
            except LayerscopeError as error:
                problems.append(_located(error, f"{where}: {c.species!r} is optional, but without it"))
    return problems


def _quantification(recipe: XpsRecipe) -> list[RecipeError]:
    """Find sets that are not known, and lines that the chosen one has no factor for."""
    table, problems = recipe.quantification or QuantificationTable(), []
    for key, names in (("rsf_set", (table.rsf_set,)), ("alternative_sets", table.alternative_sets)):
        for name in names:
            try:
                get_rsf_set(name)
            except LayerscopeError as error:
                problems.append(_located(error, f"quantification.{key}"))
    if problems:
        return problems
    lines: dict[str, tuple[str, ...]] = {"overlap": P2S_FROM} if recipe.overlap is not None else {}
    if recipe.quantification is not None:
        for index, region in enumerate(recipe.regions):
            if region.quantify:
                where = f"regions[{index}].rsf_line" if region.rsf_line else f"regions[{index}] ({region.name})"
                lines[where] = (region.rsf_line or region.name,)
    rsf = table.rsf()
    for where, needed in lines.items():
        for line in needed:
            try:
                rsf.factor(line)
            except LayerscopeError as error:
                hint = "see regions.rsf_line, quantification.factors"
                problems.append(RecipeError(f"{where}: {error.message}", hint=hint))
    return problems


def _located(error: LayerscopeError, where: str) -> RecipeError:
    return RecipeError(f"{where}: {error.message}", hint=error.hint)
