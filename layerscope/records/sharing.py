"""Records of one run say much alike: their recipe, the versions of software, their arrays. In memory it stands once."""

from __future__ import annotations

from typing import Any

from layerscope.records.model import ResultRecord

__all__ = ["Sharing"]

ALIKE = ("recipe", "software", "arrays")
REMEMBERED = 8  # values of each field: records come task by task


class Sharing:
    """Lets records that come one after the other share what they have alike; thousands then take half the memory."""

    def __init__(self) -> None:
        self._known: dict[str, list[Any]] = {name: [] for name in ALIKE}

    def __call__(self, record: ResultRecord) -> ResultRecord:
        """Return the record; what equals that of one before it is the same object from now on."""
        for name, known in self._known.items():
            value = getattr(record, name)
            if not value:
                continue
            for place, other in enumerate(known):
                if other == value:
                    record.__dict__[name] = other  # an equal value, which a frozen model cannot be told
                    known.insert(0, known.pop(place))
                    break
            else:
                known.insert(0, value)
                del known[REMEMBERED:]
        return record
