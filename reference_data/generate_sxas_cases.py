"""Generate the soft X-ray absorption cases: ``python reference_data/generate_sxas_cases.py [--out FOLDER]``.

Writes ``<case>/{data files, truth.json, SHA256SUMS}``, the truth known. The random streams are seeded, so a re-run
gives the same bytes.
Nothing of layerscope is used: the parts are in ``_generate/sxas_*.py``.
"""

from __future__ import annotations

from pathlib import Path

from _generate import sxas_bk, sxas_ok
from _generate.cases import write_cases

CASES = {case.NAME: case.build for case in (sxas_ok, sxas_bk)}

if __name__ == "__main__":
    write_cases(CASES, __doc__, Path(__file__).resolve().parent)
