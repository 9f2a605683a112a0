"""Reference values that layerscope needs at run time: data files with their sources."""
