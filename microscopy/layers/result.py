"""What is measured of layers at a surface: edges, thicknesses, and limits of what is not there."""

from __future__ import annotations

from dataclasses import dataclass

from .model import FloatArray

__all__ = ["Edge", "Layer", "Layers"]


@dataclass(frozen=True, eq=False)
class Edge:
    """The edge between two layers.

    Attributes
    ----------
    outer, inner : str
        The layers, from outside in.
    position_nm, sigma_nm : float
        Mean depth along the normal from the middle of the image, and its standard deviation.
    parts : dict of float
        What the standard deviation is made of: window, range and threshold ("method"), "reflections", "noise",
        "sides" and "planes", nm.
    width_nm : float
        Standard deviation of the edge within a window, without the window's own.
    reflections : int
        How many kinds of them took part; 0 for an edge of speckle.
    along, positions : ndarray of float64
        Places along the surface, and the depth there; NaN where it was not found.
    roughness_nm, roughness_sigma_nm : float
        Standard deviation of the depth along the surface, without its noise, on lengths above 2 nm.
    noise_nm : float
        That noise, of the depth at one place.
    """

    outer: str
    inner: str
    position_nm: float
    sigma_nm: float
    parts: dict[str, float]
    width_nm: float
    reflections: int
    along: FloatArray
    positions: FloatArray
    roughness_nm: float
    roughness_sigma_nm: float
    noise_nm: float


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer between two edges, or the limit of one that is not there.

    Attributes
    ----------
    name : str
        Its phase.
    present : bool
        Whether it is seen.
    thickness_nm, sigma_nm : float
        NaN for an absent one.
    limit_nm : float
        95 % upper limit: thicker it is not; NaN where nothing limits it.
    values : ndarray of float64
        Thickness at places along the surface.
    spread_nm, spread_sigma_nm : float
        Their standard deviation without noise, and the error of that.
    """

    name: str
    present: bool
    thickness_nm: float
    sigma_nm: float
    limit_nm: float
    values: FloatArray
    spread_nm: float
    spread_sigma_nm: float


@dataclass(frozen=True, eq=False)
class Layers:
    """Layers at a surface.

    Attributes
    ----------
    normal_deg, normal_sigma_deg : float
        Direction of the normal from x towards y, into the material; the error is 0 where it was given.
    middle_nm : tuple of 2 floats
        Where depth is 0: the middle of the image (x, y).
    edges : tuple of Edge
        From outside in.
    layers : tuple of Layer
        Those between the outermost and the bulk, seen or not, in the order given.
    flags : tuple of str
        What stands in the way.
    """

    normal_deg: float
    normal_sigma_deg: float
    middle_nm: tuple[float, float]
    edges: tuple[Edge, ...]
    layers: tuple[Layer, ...]
    flags: tuple[str, ...]
