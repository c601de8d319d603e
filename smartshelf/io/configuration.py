"""Which store a record of a configuration topic concerns.

Rule, which needs no memory, so that every reader can apply it: the ``store_id`` in the key; else that in the value; a
record that names none (a policy for all stores, or the tombstone of a policy, whose key is the policy alone) concerns
every store.
"""

from __future__ import annotations

import msgspec

EVERY_STORE = None


def concerned_store(key: bytes | None, value: bytes | None) -> str | None:
    """The one store that a configuration record concerns; EVERY_STORE when it names none.

    Raises msgspec.DecodeError when key or value is not JSON.
    """
    for part in (key, value):
        document = msgspec.json.decode(part) if part else None
        if isinstance(document, dict) and document.get("store_id"):
            return str(document["store_id"])
    return EVERY_STORE
