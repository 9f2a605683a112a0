"""The live page: a run that is watched, in a browser."""

from layerscope.live.serve import Served, serve

__all__ = ["Served", "serve"]
