"""Generate the EELS reference case with known truth: ``python reference_data/generate_eels_cases.py [--out FOLDER]``.

Writes ``<case>/{data files, truth.json, SHA256SUMS}``. The random streams are seeded, so a re-run gives the same bytes.
Nothing of layerscope is used: the parts are in ``_generate/eels_*.py``.
"""

from __future__ import annotations

from pathlib import Path

from _generate import eels_lco
from _generate.cases import write_cases

CASES = {case.NAME: case.build for case in (eels_lco,)}

if __name__ == "__main__":
    write_cases(CASES, __doc__, Path(__file__).resolve().parent)
