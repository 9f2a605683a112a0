"""Generate the HRTEM cases with known truth: ``python reference_data/generate_hrtem_cases.py [--out FOLDER]``.

Writes ``<case>/{images, truth.json, SHA256SUMS}``. The random streams are seeded, so a re-run gives the same bytes.
Nothing of layerscope is used: the parts are in ``_generate/hrtem_*.py``.
"""

from __future__ import annotations

from pathlib import Path

from _generate import hrtem_cei, hrtem_lco, hrtem_streaked
from _generate.cases import write_cases

CASES = {case.NAME: case.build for case in (hrtem_lco, hrtem_cei, hrtem_streaked)}

if __name__ == "__main__":
    write_cases(CASES, __doc__, Path(__file__).resolve().parent)
