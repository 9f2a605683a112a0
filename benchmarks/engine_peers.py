"""The engine beside code that an expert would write for one problem: scipy, sixty lines of numpy, numba.

    python benchmarks/engine_peers.py [--pairs 5] [--levels 1 6 100 1000]

A B 1s of three pseudo-Voigt lines (widths and mixing tied) on a linear background, each line with its own inelastic
step (an active Shirley background); levels share positions, width, mixing and the strength of the step, and have
their own areas and background. Known weights. Each peer gets the same start, the same data and the same minimum (chi2
is printed), and returns the standard errors of all parameters, as the engine does:

ours       the engine with numpy alone, parameters declared by name and asked for by name
ours+fast  the same with the extra `fast`: its loops compiled by numba
lmfit      one `lmfit.minimize` of the whole vector, numeric derivatives, as a careful user writes it (one level only)
scipy      `least_squares(method="lm")`, analytic dense Jacobian of all parameters (up to 6 levels: 16 s a
           fit at 100)
sparse     `least_squares(method="trf", tr_solver="lsmr")` with the same Jacobian as a sparse matrix, errors from the
           blocks of its square (up to 100 levels)
varpro     variable projection in some sixty lines of numpy: the shapes are common to all levels, so they are evaluated
           once, and every level has the same Gram matrix but for its weights
numba      the same, its loops compiled (left out where numba is not installed)

CPU time of this process, one thread, the codes take turns; medians of the ratios, how many times our time a code takes.
"""

from __future__ import annotations

import argparse
import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import time  # noqa: E402
from collections.abc import Callable  # noqa: E402

import lmfit  # noqa: E402
import numpy as np  # noqa: E402
from b1s import CENTRES, FWHM, MIXING, NAMES, FloatArray  # noqa: E402
from scipy.optimize import least_squares  # noqa: E402
from scipy.sparse import csr_matrix  # noqa: E402
from scipy.special import erf  # noqa: E402

from layerscope.fitting import Component, PatternModel, Series, fit_series, kernels, use_compiled  # noqa: E402

X = np.linspace(186.0, 198.0, 200)
U = (2.0 * X - X[0] - X[-1]) / (X[-1] - X[0])
STEP = 0.04
LARGE = kernels.MANY_VALUES
START = np.array([192.1, 191.0, 193.2, 1.4, 0.25, 0.03])  # centres, width, mixing, step
LN2, ROOT = np.log(2.0), 2.0 * np.sqrt(np.log(2.0))


def lines(q: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the columns (5, n) at q and their derivatives (6, 5, n)."""
    width, mix, step = q[3], q[4], q[5]
    columns, slopes = np.ones((5, X.size)), np.zeros((6, 5, X.size))
    columns[4] = U
    for j in range(3):
        t = (X - q[j]) / width
        gauss, lorentz = ROOT / (np.sqrt(np.pi) * width) * np.exp(-4 * LN2 * t * t), 1 / (1 + 4 * t * t)
        lorentz = lorentz * 2 / (np.pi * width)
        g_sum, l_sum = 0.5 + 0.5 * erf(ROOT * t), 0.5 + np.arctan(2 * t) / np.pi
        peak, total = (1 - mix) * gauss + mix * lorentz, (1 - mix) * g_sum + mix * l_sum
        along = (1 - mix) * gauss * (-8 * LN2 * t) + mix * lorentz * (-8 * t / (1 + 4 * t * t))  # d peak / d t
        columns[j] = peak + step * total
        slopes[j, j] = -along / width - step * peak
        slopes[3, j] = -(along * t + peak) / width - step * peak * t
        slopes[4, j] = lorentz - gauss + step * (l_sum - g_sum)
        slopes[5, j] = total
    return columns, slopes


def simulate(levels: int) -> tuple[FloatArray, FloatArray]:
    """Return counts and variance, each (levels, n)."""
    rng = np.random.default_rng(levels)
    columns, _ = lines(np.array([*CENTRES, FWHM, MIXING, STEP]))
    share = np.linspace(0.2, 0.5, levels)
    areas = np.stack([np.full(levels, 5000.0), 5000 * share, np.full(levels, 1500.0)], axis=1)
    mu = np.concatenate([areas, np.full((levels, 1), 900.0), np.full((levels, 1), 50.0)], axis=1) @ columns
    return rng.poisson(mu).astype(float), mu


def ours(y: FloatArray, variance: FloatArray, fast: bool) -> tuple[float, FloatArray]:
    """Fit with the engine, with numpy alone or with compiled loops; chi2 and the errors of what is shared."""
    use_compiled(fast)
    kernels.MANY_VALUES = LARGE if fast else 1 << 62
    model = PatternModel([Component(name) for name in NAMES], polynomial=1, active="shirley")
    parameters = model.make_parameters()
    for name, start in zip(NAMES, START[:3], strict=True):
        parameters[f"{name}_center"].set(value=start, min=186.0, max=198.0)
    parameters["BOB_fwhm"].set(value=START[3])
    parameters["BOB_mixing"].set(value=START[4])
    parameters["shirley_k"].set(value=START[5])
    for name in NAMES[1:]:
        parameters[f"{name}_fwhm"].set(expr="BOB_fwhm")
        parameters[f"{name}_mixing"].set(expr="BOB_mixing")
    fit = fit_series(model, parameters, Series(X, y, variance=variance), weights="given")
    wanted = (*(f"{name}_center" for name in NAMES), "BOB_fwhm", "BOB_mixing", "shirley_k")
    errors = [float(fit.sigma(name)[0]) for name in wanted]
    for name in (*(f"{name}_area" for name in NAMES), "background_0", "background_1"):
        fit.sigma(name)
    return fit.chi2, np.array(errors)


def by_scipy(y: FloatArray, variance: FloatArray) -> tuple[float, FloatArray]:
    """Fit all parameters with scipy's Levenberg-Marquardt and an analytic dense Jacobian."""
    levels, root = len(y), 1.0 / np.sqrt(variance)

    def residual(p: FloatArray) -> FloatArray:
        return np.asarray(((p[6:].reshape(levels, 5) @ lines(p[:6])[0] - y) * root).ravel())

    def jacobian(p: FloatArray) -> FloatArray:
        columns, slopes = lines(p[:6])
        c = p[6:].reshape(levels, 5)
        whole = np.zeros((levels, X.size, p.size))
        whole[..., :6] = np.einsum("lm,kmn->lnk", c, slopes) * root[..., None]
        for level in range(levels):
            whole[level, :, 6 + 5 * level : 11 + 5 * level] = (columns * root[level]).T
        return whole.reshape(-1, p.size)

    start = np.concatenate([START, np.tile([4000.0, 2000.0, 1000.0, 800.0, 0.0], levels)])
    found = least_squares(residual, start, jacobian, method="lm", x_scale="jac")
    errors = np.sqrt(np.diag(np.linalg.inv(found.jac.T @ found.jac)))
    return 2.0 * found.cost, errors[:6]


def by_sparse(y: FloatArray, variance: FloatArray) -> tuple[float, FloatArray]:
    """Fit all parameters with scipy and an analytic sparse Jacobian."""
    levels, root, n = len(y), 1.0 / np.sqrt(variance), X.size
    row = np.arange(levels * n)
    at = np.concatenate([np.tile(np.arange(6), (levels * n, 1)), 6 + 5 * (row // n)[:, None] + np.arange(5)], axis=1)
    starts = np.arange(0, 11 * levels * n + 1, 11)

    def residual(p: FloatArray) -> FloatArray:
        return np.asarray(((p[6:].reshape(levels, 5) @ lines(p[:6])[0] - y) * root).ravel())

    def jacobian(p: FloatArray) -> csr_matrix:
        columns, slopes = lines(p[:6])
        shared = np.einsum("lm,kmn->lnk", p[6:].reshape(levels, 5), slopes)
        own = np.broadcast_to(columns.T, (levels, n, 5))
        values = np.concatenate([shared, own], axis=2) * root[..., None]
        return csr_matrix((values.ravel(), at.ravel(), starts), (levels * n, p.size))

    start = np.concatenate([START, np.tile([4000.0, 2000.0, 1000.0, 800.0, 0.0], levels)])
    settings = {"method": "trf", "tr_solver": "lsmr", "x_scale": "jac", "ftol": 1e-10}
    found = least_squares(residual, start, jacobian, **settings)  # type: ignore[arg-type]
    square = (found.jac.T @ found.jac).tocsc()
    top, border = square[:6, :6].toarray(), square[:6, 6:].toarray().reshape(6, levels, 5).transpose(1, 0, 2)
    blocks = np.array([square[6 + 5 * k : 11 + 5 * k, 6 + 5 * k : 11 + 5 * k].toarray() for k in range(levels)])
    link = np.linalg.solve(blocks, border.transpose(0, 2, 1))
    covariance = np.linalg.inv(top - np.einsum("lij,ljk->ik", border, link))
    np.sqrt(np.einsum("lii->li", np.linalg.inv(blocks) + link @ covariance @ link.transpose(0, 2, 1)))
    return 2.0 * found.cost, np.sqrt(np.diag(covariance))


def varpro(
    y: FloatArray, variance: FloatArray, contract: Callable[..., tuple[FloatArray, ...]] | None = None
) -> tuple[float, FloatArray]:
    """Variable projection with the shapes common to all levels, and the errors of all parameters."""
    w = 1.0 / variance
    wy, yy = w * y, float((w * y * y).sum())

    def normal(q: FloatArray) -> tuple[FloatArray, ...]:
        columns, slopes = lines(q)
        if contract is not None:
            gram, moment = contract(columns, w, wy)
        else:
            pairs = (columns[:, None] * columns[None]).reshape(25, -1)
            gram, moment = (w @ pairs.T).reshape(-1, 5, 5), wy @ columns.T
        c = np.linalg.solve(gram, moment[..., None])[..., 0]
        derivative = np.einsum("lm,kmn->lkn", c, slopes)
        weighted = derivative * w[:, None]
        rest = y - c @ columns
        gradient = np.einsum("lkn,ln->k", weighted, rest)
        mixed = weighted @ columns.T  # (levels, 6, 5)
        inverse = np.linalg.inv(gram)
        curvature = (weighted @ derivative.transpose(0, 2, 1)).sum(0) - np.einsum(
            "lkm,lmp,ljp->kj", mixed, inverse, mixed, optimize=True
        )
        return np.array(float((w * rest * rest).sum())), gradient, curvature, inverse, mixed

    q, damping = START.copy(), 1e-3
    now = normal(q)
    for _ in range(60):
        scale = np.diag(now[2])
        step = np.linalg.solve(now[2] + damping * np.diag(scale), now[1])
        trial = normal(q + step)
        if trial[0] <= now[0]:
            moved, now, q, damping = float(now[0] - trial[0]), trial, q + step, damping * 0.2
            if moved <= 1e-12 * yy / len(y) / 1e3:
                break
        else:
            damping *= 10.0
    covariance = np.linalg.inv(now[2])
    along = now[3] @ now[4].transpose(0, 2, 1)
    own = now[3] + along @ covariance @ along.transpose(0, 2, 1)
    np.sqrt(np.einsum("lii->li", own))
    return float(now[0]), np.sqrt(np.diag(covariance))


def by_lmfit(y: FloatArray, variance: FloatArray) -> tuple[float, FloatArray]:
    """Fit one level with lmfit and one vector objective."""
    parameters = lmfit.Parameters()
    for k, value in enumerate([*START, 4000.0, 2000.0, 1000.0, 800.0, 0.0]):
        parameters.add(f"p{k}", value=value)

    def residual(p: lmfit.Parameters) -> FloatArray:
        v = np.array([p[f"p{k}"].value for k in range(11)])
        return np.asarray((v[6:] @ lines(v[:6])[0] - y[0]) / np.sqrt(variance[0]))

    found = lmfit.minimize(residual, parameters)
    return float(found.chisqr), np.array([found.params[f"p{k}"].stderr for k in range(6)])


def compiled() -> Callable[..., tuple[FloatArray, ...]] | None:
    """Return the contraction of the Gram matrices compiled by numba, if it is there."""
    try:
        from numba import njit
    except ImportError:
        return None

    @njit(cache=True, fastmath=True)  # type: ignore[untyped-decorator]
    def contract(columns: FloatArray, w: FloatArray, wy: FloatArray) -> tuple[FloatArray, FloatArray]:
        levels, n = w.shape
        m = columns.shape[0]
        gram, moment = np.zeros((levels, m, m)), np.zeros((levels, m))
        for level in range(levels):
            for j in range(m):
                for i in range(n):
                    moment[level, j] += wy[level, i] * columns[j, i]
                for k in range(j + 1):
                    total = 0.0
                    for i in range(n):
                        total += w[level, i] * columns[j, i] * columns[k, i]
                    gram[level, j, k] = gram[level, k, j] = total
        return gram, moment

    return contract  # type: ignore[no-any-return]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--levels", type=int, nargs="+", default=[1, 6, 100, 1000])
    options = parser.parse_args()
    contract = compiled()
    for levels in options.levels:
        y, variance = simulate(levels)
        codes: dict[str, Callable[[], tuple[float, FloatArray]]] = {"ours": lambda y=y, v=variance: ours(y, v, False)}
        if contract is not None:
            codes["ours+fast"] = lambda y=y, v=variance: ours(y, v, True)
        if levels == 1:
            codes["lmfit"] = lambda y=y, v=variance: by_lmfit(y, v)
        if levels <= 6:
            codes["scipy"] = lambda y=y, v=variance: by_scipy(y, v)
        if levels <= 100:
            codes["sparse"] = lambda y=y, v=variance: by_sparse(y, v)
        codes["varpro"] = lambda y=y, v=variance: varpro(y, v)
        if contract is not None:
            codes["numba"] = lambda y=y, v=variance: varpro(y, v, contract)
        answers = {name: code() for name, code in codes.items()}
        times: dict[str, list[float]] = {name: [] for name in codes}
        repeat = max(1, 20 // levels)
        for _ in range(options.pairs):
            for name, code in codes.items():
                start = time.process_time()
                for _ in range(repeat):
                    code()
                times[name].append((time.process_time() - start) / repeat)
        print(f"{levels} level{'s' * (levels > 1)}, medians of {options.pairs} turns:")
        own = [np.array(times[name]) for name in ("ours", "ours+fast") if name in times]
        print(
            "               CPU time"
            + "".join(f" {name:>10s}" for name in ("× ours", "× +fast")[: len(own)])
            + "  chi2"
        )
        for name, (chi2, errors) in answers.items():
            ratios = "".join(f" {np.median(np.array(times[name]) / mine):10.2f}" for mine in own)
            apart = float(np.abs(errors / answers["ours"][1] - 1.0).max())
            print(f"  {name:10s} {1e3 * np.median(times[name]):8.2f} ms{ratios}  {chi2:.3f}, errors {apart:.0e} apart")


if __name__ == "__main__":
    main()
