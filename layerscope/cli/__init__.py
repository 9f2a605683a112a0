"""The command line. Importing it is cheap: what a command needs is imported when the command runs."""

from __future__ import annotations

from layerscope.cli.main import main

__all__ = ["main"]
