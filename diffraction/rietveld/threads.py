"""One thread for linear algebra: a refinement's matrices are small, and threads of BLAS only wait for each other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

__all__ = ["one_blas_thread"]


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold the BLAS libraries that this process has loaded to one thread, for as long as the context lasts.

    On two cores a refinement with rietx takes three times as long without.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:  # it comes with the extra [xrd]
        yield
        return
    with threadpool_limits(limits=1, user_api="blas"):
        yield
