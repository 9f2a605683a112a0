"""Cycler data and its alignment with frames by clock."""
