"""Print how long the steps of an image take, as ratios to the bare transform of the same image in the same run.

    python benchmarks/hrtem_speed.py [REPEATS] [ROW ...]

One core. The unit is `scipy.fft.rfft2` of the image in float32. Each row is the shortest of REPEATS runs (default 5)
over the shortest of as many transforms, taken in turns.

`spots_4k`     spots of 4096 x 4096 pixels of 0.02 nm, found and placed on the transform; wanted at most 3
`map_2k`       121 x 121 windows of 128 pixels over 2048 x 2048 pixels, with the probability of vacuum, amorphous, six
               lattices and none of these; the unit is the bare transform of those windows one by one, wanted at most 4
               within 1 GiB, and two workers at least 1.7 times as fast as one; on a loaded machine that is not seen,
               so CPU time and its serial part are printed too, and what they let two free cores reach
`index_34`     the spots of a window against 34 zone axes; wanted at most 2 of a 4k image
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402
import scipy.fft  # noqa: E402
from layerscope.microscopy.image import Image, Scale  # noqa: E402
from layerscope.microscopy.indexing import index_spots, library_of  # noqa: E402
from layerscope.microscopy.layers.maps import phase_map  # noqa: E402
from layerscope.microscopy.layers.model import Kernel, Lattice  # noqa: E402
from layerscope.microscopy.spots import Spots, find_spots  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from layerscope.crystals import load_phase, zone_pattern  # noqa: E402

PIXEL = 0.02


def lattice(n: int) -> Image:
    """Draw a square lattice of two orders over white noise."""
    rng = np.random.default_rng(1)
    y, x = np.arange(n, dtype=np.float32)[:, None] * PIXEL, np.arange(n, dtype=np.float32) * PIXEL
    data = rng.normal(size=(n, n)).astype(np.float32)
    for gx, gy, amplitude in ((1.1, 2.2, 0.3), (-2.2, 1.1, 0.3), (2.2, 4.4, 0.1), (-1.1, 3.3, 0.2), (3.3, 1.1, 0.2)):
        data += np.float32(amplitude) * np.cos(np.float32(2 * np.pi) * (np.float32(gx) * x + np.float32(gy) * y))
    return Image(data, (PIXEL, PIXEL))


def ratio(
    step: Callable[[], object],
    bare: Callable[[], object],
    repeats: int,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[float, float]:
    """Shortest time of the step, s, and over that of the bare transforms; CPU time where one thread does it all."""
    times = np.empty((repeats, 2))
    for k in range(repeats):
        for j, run in enumerate((step, bare)):
            start = clock()
            run()
            times[k, j] = clock() - start
    best = times.min(axis=0)
    return float(best[0]), float(best[0] / best[1])


def cpu(step: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Least CPU time of all threads, and of the calling one, which waits while others work; s."""
    times = np.empty((repeats, 2))
    for k in range(repeats):
        start = time.process_time(), time.thread_time()
        step()
        times[k] = time.process_time() - start[0], time.thread_time() - start[1]
    return float(times[:, 0].min()), float(times[:, 1].min())


def spots_4k(repeats: int) -> None:
    image = lattice(4096)
    found = find_spots(image, refine=False).size
    step, bare = (lambda: find_spots(image, refine=False)), (lambda: scipy.fft.rfft2(image.intensity))
    seconds, over = ratio(step, bare, repeats, time.process_time)
    print(f"spots of a 4k image ({found} found)            {seconds:7.3f} s   {over:5.2f} x the transform   (<= 3)")


def bare_windows(image: NDArray[np.float32]) -> None:
    """Transform 121 x 121 windows, a row at a time."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (128, 128))[::16, ::16]
    for row in windows:
        scipy.fft.rfft2(np.ascontiguousarray(row))


def map_2k(repeats: int) -> None:
    image = lattice(2048)
    square = np.array([(1.1, 2.2), (-2.2, 1.1), (2.2, 4.4), (-1.1, 3.3), (3.3, 1.1), (-4.4, 2.2), (0.0, 5.5)])
    known = [Lattice.of(f"lattice {n}", square * (1.0 + 0.07 * n)) for n in range(6)]

    def run(workers: int) -> object:
        # A Gaussian as wide at half maximum as the Hann taper of 128 pixels, every 16 pixels.
        return phase_map(image, known, kernel=Kernel(1.28, 1.28), step_nm=0.32, workers=workers)

    seconds, over = ratio(lambda: run(1), lambda: bare_windows(image.intensity), repeats)
    _, faster = ratio(lambda: run(1), lambda: run(2), repeats)
    (one, _), (two, alone) = (cpu(lambda: run(1), repeats), cpu(lambda: run(2), repeats))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"map of a 2k image, 6 lattices                {seconds:7.3f} s   {over:5.2f} x the windows     (<= 4)")
    print(f"    two workers {faster:.2f} x as fast (>= 1.7 on two free cores), {memory:.0f} MiB in all (<= 1024)")
    print(
        f"    CPU {one:.2f} s by one, {two:.2f} s by two, {alone:.2f} s of it serial: at most"
        f" {one / (alone + 0.5 * (two - alone)):.2f} x"
    )


def spinel() -> Spots:
    """Spots of Co3O4 along [1 1 0] in a window of 8 nm, 2 % off in scale."""
    pattern = zone_pattern(load_phase("Co3O4"), (1, 1, 0), g_max=8.5)
    n = len(pattern.g)
    power = 1e4 * (pattern.amplitude / pattern.amplitude.max()) ** 2 + 20.0
    return Spots(
        g=1.02 * pattern.g,
        covariance=np.tile(np.eye(2) * 2e-5, (n, 1, 1)),
        amplitude=np.sqrt(power),
        power=power,
        band=(1.6, 9.0),
        window_nm=(8.0, 8.0),
        false_alarm=0.01,
        on_streak=np.zeros(n, bool),
    )


def index_34(repeats: int) -> None:
    names = ("LiCoO2_O3", "Co3O4", "LiCo2O4", "CoO", "LiF", "Li2MnO3", "Li2O", "Li2CO3")
    library = library_of([load_phase(name) for name in names], most_zones=6)
    chosen = np.flatnonzero(library.bank.source < 34)
    library = replace(library, bank=library.bank.rows(chosen))
    image = lattice(4096)
    spots = spinel()
    step = lambda: index_spots(spots, library, Scale())  # noqa: E731
    seconds, over = ratio(step, lambda: scipy.fft.rfft2(image.intensity), repeats)
    count = len(set(library.bank.source.tolist()))
    name = f"{spots.size} spots against {count} zone axes"
    print(f"{name:46}{seconds:7.3f} s   {over:5.2f} x the transform   (<= 2)")


ROWS: dict[str, Callable[[int], None]] = {"spots_4k": spots_4k, "index_34": index_34, "map_2k": map_2k}

if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    for row in sys.argv[2:] or ROWS:
        ROWS[row](number)
