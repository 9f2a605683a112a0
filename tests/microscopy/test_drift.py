"""Frames of a stack that drifted are moved together before their mean is taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from layerscope.microscopy.readers import read_image
from layerscope.microscopy.readers.drift import aligned_mean

from .scenes import FIRST, PIXEL, grid, waves
from .written import write_mrc

DRIFT = np.cumsum([(0.0, 0.0), (0.8, -1.6), (1.1, -0.9), (0.35, -1.25), (1.4, -1.1), (0.9, -0.7)], axis=0)
"""Rows and columns by which each frame lies off the first."""


def stack(drift: np.ndarray, seed: int = 0, dose: float = 20.0) -> np.ndarray:
    """A crystal beside an amorphous film, frame by frame, with counting noise."""
    rng = np.random.default_rng(seed)
    film = np.random.default_rng(1).uniform(-3.0, 3.0, (40, 2))
    x, y = grid(128, 160)
    frames = []
    for rows, columns in drift * PIXEL:
        at = x - columns, y - rows
        drawn = np.where(at[0] > 1.4, 0.4 * waves(FIRST[:3], *at), 0.25 * waves(film, *at, 2) / np.sqrt(10.0))
        frames.append(rng.poisson(dose * np.maximum(1.0 + 0.3 * drawn, 0.05)))
    return np.array(frames, np.uint16)


def test_a_known_drift_is_found_and_taken_out() -> None:
    mean, drift = aligned_mean(stack(DRIFT))
    assert drift is not None
    assert np.abs(drift.shift - DRIFT).max() < 0.25
    assert drift.sigma < 0.25
    assert drift.largest == pytest.approx(np.hypot(*DRIFT[-1]), abs=0.3)
    truth, part = stack(DRIFT[:1], 5, 1000.0)[0], np.s_[10:-10, 10:-10]
    still, blurred = (stack(shift).mean(axis=0) for shift in (0.0 * DRIFT, DRIFT))
    kept, best, worst = (np.corrcoef(one[part].ravel(), truth[part].ravel())[0, 1] for one in (mean, still, blurred))
    assert kept > 0.95 * best
    assert worst < 0.6 * best


def test_frames_of_noise_alone_are_averaged_as_they_stand() -> None:
    frames = np.random.default_rng(0).poisson(20.0, (5, 96, 96)).astype(np.uint16)
    mean, drift = aligned_mean(frames)
    assert drift is None
    assert np.allclose(mean, frames.mean(axis=0))


def test_the_image_of_a_stack_says_how_its_frames_drifted(tmp_path: Path) -> None:
    pytest.importorskip("rsciio", reason="rosettasciio is not installed (pip install 'layerscope[em]')")
    path = write_mrc(tmp_path / "stack.mrc", stack(DRIFT), (160 * 10 * PIXEL, 128 * 10 * PIXEL))
    image = read_image(path)
    assert image.drift is not None
    assert image.drift[0] == pytest.approx(np.hypot(*DRIFT[-1]), abs=0.3)
    assert [flag.partition(",")[0] for flag in image.flags] == ["STACK_ALIGNED:6 frames"]
