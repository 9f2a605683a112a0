"""Generate the XRD reference cases with known truth: ``python reference_data/generate_xrd_cases.py [--out FOLDER]``.

Writes ``<case>/{data files, truth.json, SHA256SUMS}``. The random streams are seeded and the dates fixed, so a re-run
gives the same bytes. Nothing of layerscope is used: the parts are in ``_generate/xrd_*.py``.
"""

from __future__ import annotations

from pathlib import Path

from _generate import xrd_lco
from _generate.cases import write_cases

CASES = {case.NAME: case.build for case in (xrd_lco,)}

if __name__ == "__main__":
    write_cases(CASES, __doc__, Path(__file__).resolve().parent)
