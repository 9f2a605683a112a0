"""Rigaku .rasx: the zip archive that newer programs write; see `ras` for what both have in common."""

from __future__ import annotations

from .ras import read_rasx as read
from .ras import sniff_rasx as sniff

__all__ = ["read", "sniff"]
