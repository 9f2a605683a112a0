"""From raw files of four instruments to one kind of result record, with honest errors."""

__version__ = "0.1.0"
