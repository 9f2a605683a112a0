"""Records of one run say much alike: their recipe, the versions of software, their arrays. In memory it stands once."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from layerscope.records.model import ResultRecord

__all__ = ["Sharing"]

ALIKE = ("recipe", "software", "arrays")
REMEMBERED = 8  # values of each field: records come task by task
_SET = "__pydantic_fields_set__"


class Sharing:
    """Lets records that come one after the other share what they have alike; thousands then take a third of the memory.

    Half of the memory of a record are the sets of names of the fields that were given, one in each of its parts: those
    that are equal become one.
    """

    def __init__(self) -> None:
        self._known: dict[str, list[Any]] = {name: [] for name in ALIKE}
        self._sets: dict[tuple[type[BaseModel], frozenset[str]], set[str]] = {}

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
                if isinstance(value, dict) and known:
                    record.__dict__[name] = value = _alike(value, known[0])
                known.insert(0, value)
                del known[REMEMBERED:]
        self._share_sets(record)
        return record

    def _share_sets(self, model: BaseModel) -> None:
        given = getattr(model, _SET)
        object.__setattr__(model, _SET, self._sets.setdefault((type(model), frozenset(given)), given))
        for value in model.__dict__.values():
            if isinstance(value, BaseModel):
                self._share_sets(value)
            elif type(value) is tuple:
                for part in value:
                    if isinstance(part, BaseModel):
                        self._share_sets(part)


def _alike(value: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return a table of a recipe that holds the other one's entries where they are equal."""
    return {
        key: other[key] if key in other and other[key] == entry and type(other[key]) is type(entry) else entry
        for key, entry in value.items()
    }
