"""Which lines are there? Lines are added frame by frame where the residual asks for one, without names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..radiation import FloatArray
from .frames import FrameBatch, FrameData, fit_frames
from .model import LineModel

__all__ = ["FoundLine", "find_lines"]

SEPARATION = 1.2
"""Two lines closer than this many widths are not told apart without knowing one of them."""


@dataclass(frozen=True)
class FoundLine:
    """An unnamed line of a frame: position (degrees), area and their standard errors."""

    frame: int
    position: float
    position_sigma: float
    area: float
    area_sigma: float


def find_lines(
    data: FrameData,
    model: LineModel,
    *,
    window: tuple[float, float],
    max_lines: int = 4,
    significance: float = 5.0,
) -> tuple[list[list[FoundLine]], FloatArray]:
    """Find the lines of every frame.

    Each round adds to every frame the line that reduces its misfit most and refits all its lines; a frame is finished
    when the best addition is not significant, spoils another line, or does not lower the BIC.

    Parameters
    ----------
    data : FrameData
    model : LineModel
        All lines take the widest known width of the series' own lines.
    window : (float, float)
        Range of 2theta to look in (degrees).
    max_lines : int
    significance : float
        Of a line's area, in standard errors.

    Returns
    -------
    lines : list of list of FoundLine
        By frame, ascending in angle.
    expected : ndarray, shape (F, n)
        Fitted curve of the final set of each frame.
    """
    frames = np.arange(data.n_frames)
    width = model.shape.width("line")
    grid = np.arange(window[0], window[1], width / 3.0)
    templates = _templates(data.x, grid, model)
    penalty = 2.0 * np.log(data.x.size)
    if model.held:
        now = fit_frames(data, (), model, np.zeros((0, frames.size)), errors=False)
        expected, chi2 = now.expected.copy(), now.chi2.copy()
    else:
        expected, chi2 = _flat(data, model.polynomial)
    found: list[list[FoundLine]] = [[] for _ in frames]
    open_frames = frames
    for count in range(1, max_lines + 1):
        best, gain = _best_addition(data, expected, grid, templates, found, width, open_frames)
        promising = gain > max(penalty, significance**2) * 0.6
        open_frames, best = open_frames[promising], best[promising]
        if open_frames.size == 0:
            break
        start = np.array([[f.position for f in found[i]] + [b] for i, b in zip(open_frames, best, strict=True)]).T
        names = tuple(f"line{k}" for k in range(count))
        batch = fit_frames(data.only(open_frames), names, model, start, reach=0.1)
        accepted = _accepted(batch, chi2[open_frames], penalty, significance, width, window)
        for g in np.flatnonzero(accepted):
            frame = int(open_frames[g])
            rows = zip(
                batch.position[:, g], batch.position_sigma[:, g], batch.area[:, g], batch.area_sigma[:, g], strict=True
            )
            found[frame] = sorted((FoundLine(frame, *map(float, row)) for row in rows), key=lambda f: f.position)
            chi2[frame], expected[frame] = batch.chi2[g], batch.expected[g]
        open_frames = open_frames[accepted]
    return found, expected


def _flat(data: FrameData, polynomial: int) -> tuple[FloatArray, FloatArray]:
    """Fit the background alone."""
    t = np.linspace(-1, 1, data.x.size)
    columns = np.polynomial.legendre.legvander(t, polynomial).T
    weight = data.root_weight
    a = columns[None] * weight[:, None]
    c = np.linalg.solve(a @ a.transpose(0, 2, 1), a @ (data.y * weight)[..., None])[..., 0]
    expected = c @ columns
    return expected, (((data.y - expected) * weight) ** 2).sum(axis=1)


def _templates(x: FloatArray, grid: FloatArray, model: LineModel) -> FloatArray:
    shape = model.shape
    p = [grid, np.full(grid.size, shape.width("line")), np.full(grid.size, shape.mixing)]
    if model.line.axial:
        p.append(np.full(grid.size, shape.axial))
    return model.line.evaluate(x, np.stack(p, axis=1), derivatives=False).value


def _best_addition(
    data: FrameData,
    expected: FloatArray,
    grid: FloatArray,
    templates: FloatArray,
    found: list[list[FoundLine]],
    width: float,
    rows: NDArray[np.intp],
) -> tuple[FloatArray, FloatArray]:
    """Return, for each frame, where one more line would help most, and by how much it lowers chi2."""
    square = data.root_weight[rows] ** 2
    projection = ((data.y[rows] - expected[rows]) * square) @ templates.T
    norm = square @ (templates**2).T
    gain = np.where((projection > 0) & (norm > 0), projection**2 / np.where(norm > 0, norm, 1.0), 0.0)
    near = SEPARATION * width
    for i, frame in enumerate(rows):
        for f in found[int(frame)]:
            gain[i, np.abs(grid - f.position) < near] = 0.0
    at, row = gain.argmax(axis=1), np.arange(rows.size)
    # the vertex of the parabola through the best point and its neighbours saves an iteration
    left, right = gain[row, np.maximum(at - 1, 0)], gain[row, np.minimum(at + 1, grid.size - 1)]
    bend = left - 2.0 * gain[row, at] + right
    offset = np.where(bend < 0, 0.5 * (left - right) / np.where(bend < 0, bend, 1.0), 0.0)
    place = grid[at] + np.clip(offset, -0.5, 0.5) * (grid[1] - grid[0])
    return place, gain[row, at]


def _accepted(
    batch: FrameBatch,
    before: FloatArray,
    penalty: float,
    significance: float,
    width: float,
    window: tuple[float, float],
) -> NDArray[np.bool_]:
    solid = (batch.area > significance * batch.area_sigma).all(axis=0)
    inside = ((batch.position > window[0]) & (batch.position < window[1])).all(axis=0)
    ordered = np.sort(batch.position, axis=0)
    apart = (np.diff(ordered, axis=0) > SEPARATION * width).all(axis=0)
    return solid & inside & apart & (before - batch.chi2 > penalty)
