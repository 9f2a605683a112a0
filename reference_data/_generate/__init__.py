"""Parts of ``generate_xps_cases.py``: simulation, file writers and the three cases; nothing of layerscope."""
