"""Parts of the scripts that generate the reference cases: simulation, file writers, cases; nothing of layerscope."""
