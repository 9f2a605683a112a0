"""Entry point: runs the app, turns errors into one clear line each, and gives the exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

from layerscope.errors import LayerscopeError, printable

__all__ = ["main"]

USAGE = 1
INTERRUPTED = 130
THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; those of the process when not given.

    Returns
    -------
    int
        0 all ok, 1 usage or recipe error, 2 finished with quarantined files, 3 nothing could be processed, 130
        interrupted.
    """
    for name in THREADS:  # read when numpy is loaded: small matrices, for which threads only wait for each other
        os.environ.setdefault(name, "1")
    from layerscope.cli.app import app

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file name may hold bytes that are no text
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    debug = "--debug" in given
    # --debug is an option of the program, but people add it at the end of a line that failed
    ordered = ["--debug", *(word for word in given if word != "--debug")] if debug else given
    try:
        code = app(args=ordered, prog_name="layerscope", standalone_mode=False)
    except LayerscopeError as error:
        if debug:
            raise
        return _complain(str(error), USAGE)
    except KeyboardInterrupt:
        return _complain("interrupted (the same command goes on where it stopped)", INTERRUPTED)
    except BrokenPipeError:  # the reader, such as "head", has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if _is_usage_error(error):
            return _complain(f"{error.format_message()} (see: layerscope --help)", USAGE)  # type: ignore[attr-defined]
        if type(error).__name__ == "Abort":
            return _complain("interrupted (the same command goes on where it stopped)", INTERRUPTED)
        if debug:
            raise
        return _complain(f"{type(error).__name__}: {error} (a defect: run again with --debug, and report it)", USAGE)
    return code if isinstance(code, int) else 0


def _is_usage_error(error: Exception) -> bool:
    """Tell a usage error by its shape: typer brings its own copy of click since 0.2x, and used click before."""
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


def _complain(message: str, code: int) -> int:
    sys.stderr.write(f"error: {printable(' '.join(message.split()))}\n")
    return code
