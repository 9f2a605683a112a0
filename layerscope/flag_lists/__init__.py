"""The flags of `layerscope.flags`, by what they are about."""
