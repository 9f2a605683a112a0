"""The 27 nonlinear regression sets of the NIST StRD, written as separable models (linear parameters eliminated)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from expression_model import ExpressionModel
from numpy.typing import NDArray

RATIONAL = "(1 + b5*x + b6*x**2 + b7*x**3)"
EXPONENTIALS = {"b1": "exp(-b2*x)", "b3": "exp(-b4*x)", "b5": "exp(-b6*x)"}
GAUSSIANS = {"b1": "exp(-b2*x)", "b3": "exp(-(x-b4)**2/b5**2)", "b6": "exp(-(x-b7)**2/b8**2)"}
CUBIC = {"b1": f"1/{RATIONAL}", "b2": f"x/{RATIONAL}", "b3": f"x**2/{RATIONAL}", "b4": f"x**3/{RATIONAL}"}
SEASONS = {
    "b1": "1 + 0*x",
    "b2": "cos(2*pi*x/12)",
    "b3": "sin(2*pi*x/12)",
    "b5": "cos(2*pi*x/b4)",
    "b6": "sin(2*pi*x/b4)",
    "b8": "cos(2*pi*x/b7)",
    "b9": "sin(2*pi*x/b7)",
}
#: columns by coefficient, and the part without a coefficient; formulas as NIST states them
MODELS: dict[str, tuple[dict[str, str], str | None]] = {
    "Bennett5": ({"b1": "(b2+x)**(-1/b3)"}, None),
    "BoxBOD": ({"b1": "1-exp(-b2*x)"}, None),
    "Chwirut1": ({}, "exp(-b1*x)/(b2+b3*x)"),
    "Chwirut2": ({}, "exp(-b1*x)/(b2+b3*x)"),
    "DanWood": ({"b1": "x**b2"}, None),
    "ENSO": (SEASONS, None),
    "Eckerle4": ({"b1": "1/b2*exp(-0.5*((x-b3)/b2)**2)"}, None),
    "Gauss1": (GAUSSIANS, None),
    "Gauss2": (GAUSSIANS, None),
    "Gauss3": (GAUSSIANS, None),
    "Hahn1": (CUBIC, None),
    "Kirby2": ({c: f"{v}/(1+b4*x+b5*x**2)" for c, v in {"b1": "1", "b2": "x", "b3": "x**2"}.items()}, None),
    "Lanczos1": (EXPONENTIALS, None),
    "Lanczos2": (EXPONENTIALS, None),
    "Lanczos3": (EXPONENTIALS, None),
    "MGH09": ({"b1": "(x**2+x*b2)/(x**2+x*b3+b4)"}, None),
    "MGH10": ({"b1": "exp(b2/(x+b3))"}, None),
    "MGH17": ({"b1": "1+0*x", "b2": "exp(-x*b4)", "b3": "exp(-x*b5)"}, None),
    "Misra1a": ({"b1": "1-exp(-b2*x)"}, None),
    "Misra1b": ({"b1": "1-(1+b2*x/2)**(-2)"}, None),
    "Misra1c": ({"b1": "1-(1+2*b2*x)**(-0.5)"}, None),
    "Misra1d": ({"b1": "b2*x*((1+b2*x)**(-1))"}, None),
    "Nelson": ({"b1": "1+0*x1", "b2": "-x1*exp(-b3*x2)"}, None),
    "Rat42": ({"b1": "1/(1+exp(b2-b3*x))"}, None),
    "Rat43": ({"b1": "1/((1+exp(b2-b3*x))**(1/b4))"}, None),
    "Roszman1": ({"b1": "1+0*x", "b2": "-x"}, "-arctan(b3/(x-b4))/pi"),
    "Thurber": (CUBIC, None),
}


@dataclass(frozen=True)
class StrdSet:
    """One reference data set with its certified values."""

    name: str
    model: ExpressionModel
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    starts: tuple[dict[str, float], dict[str, float]]
    certified: dict[str, float]
    standard_error: dict[str, float]
    rss: float


def load() -> dict[str, StrdSet]:
    """Return all sets by name."""
    stored = json.loads((Path(__file__).parent / "nist_strd.json").read_text())["sets"]
    result = {}
    for name, (columns, offset) in MODELS.items():
        raw = stored[name]
        names = [f"b{i + 1}" for i in range(len(raw["certified"]))]
        variables = ("x",) if len(raw["x"]) == 1 else tuple(f"x{i + 1}" for i in range(len(raw["x"])))
        x = np.array(raw["x"][0] if len(raw["x"]) == 1 else raw["x"])
        y = np.log(raw["y"]) if name == "Nelson" else np.array(raw["y"])
        result[name] = StrdSet(
            name,
            ExpressionModel(columns, offset=offset, variables=variables),
            x,
            y,
            tuple(dict(zip(names, raw[s], strict=True)) for s in ("start1", "start2")),  # type: ignore[arg-type]
            dict(zip(names, raw["certified"], strict=True)),
            dict(zip(names, raw["standard_error"], strict=True)),
            raw["rss"],
        )
    return result
