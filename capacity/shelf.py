"""What a user describes beside the catalogue: kept in memory under an id that its content makes, so that an id means one thing."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import OrderedDict
from typing import Generic, TypeVar

from facts.records import Fact

FactT = TypeVar("FactT", bound=Fact)
PREFIX = "own-"
MOST = 4096
"""Records that are kept; the one that was asked for longest ago goes first. Whoever decides with one puts it back before."""
NAME_CHARACTERS, HASH_CHARACTERS = 40, 10


class Shelf(Generic[FactT]):
    """Records by id, of every session; an id is made of the content, so no two sessions can mean different things by one."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._records: OrderedDict[str, FactT] = OrderedDict()
        self._guard = threading.Lock()

    def put(self, record: FactT) -> FactT:
        """The record under its own id, as in `own-my-model-1f2e3d4c5b`; the same content, named alike, has the same id always."""
        found = record.model_copy(update={"id": own_id(record)})
        with self._guard:
            kept = self._records.setdefault(found.id, found)  # type: ignore[attr-defined]  # every record here has an id
            self._records.move_to_end(own_id(kept))
            while len(self._records) > self._most:
                self._records.popitem(last=False)
        return kept

    def get(self, record_id: str) -> FactT | None:
        """The record of an id, or None."""
        with self._guard:
            found = self._records.get(record_id)
            if found is not None:
                self._records.move_to_end(record_id)
            return found


def own_id(record: Fact) -> str:
    """The id of a record that no catalogue has: its name and a hash of everything but its id and where it was read."""
    content = record.model_dump(mode="json", exclude={"id", "source"}, exclude_none=True, exclude_defaults=True)
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    name = re.sub(r"[^a-z0-9]+", "-", str(content.get("name", "")).lower())[:NAME_CHARACTERS].strip("-") or "unnamed"
    return f"{PREFIX}{name}-{hashlib.sha256(text.encode()).hexdigest()[:HASH_CHARACTERS]}"
