"""Reference values that layerscope needs at run time, as data files with their sources (species, sensitivity factors)."""
