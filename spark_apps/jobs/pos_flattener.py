"""The POS flattener: nested receipts as flat rows for Connect (topics ``pos_headers`` and ``pos_lines``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from smartshelf.contracts.events import Event, PosTransaction
from smartshelf.contracts.rows import PosHeader, PosLine
from spark_apps.runtime.books import Books
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.stage import Output, Scope, Stateless, Step
from spark_apps.runtime.writing import row

#: A receipt never changes.
ONLY_VERSION = 1


class PosFlattener(Stateless):
    """Writes a header and its lines for every receipt, once."""

    name: ClassVar = "pos_flattener"
    facts: ClassVar = frozenset({"pos_transactions"})
    config: ClassVar = frozenset()

    def advance(
        self, state: None, facts: Sequence[Event], config: StoreConfig, step: Step, books: Books
    ) -> tuple[None, list[Output]]:
        receipts = [fact for fact in facts if isinstance(fact, PosTransaction)]
        return None, [output for receipt in receipts for output in _flat(receipt, step.scope)]


def _flat(receipt: PosTransaction, scope: Scope) -> list[Output]:
    header = scope.row(
        PosHeader,
        ONLY_VERSION,
        transaction_id=receipt.transaction_id,
        customer_id=receipt.customer_id,
        till_id=receipt.till_id,
        timestamp=receipt.timestamp,
        total_items=receipt.total_items,
        total_amount=receipt.total_amount,
    )
    lines = [
        scope.row(PosLine, ONLY_VERSION, transaction_id=receipt.transaction_id, **msgspec.structs.asdict(line))
        for line in receipt.items
    ]
    return [row("pos_headers", header), *(row("pos_lines", line) for line in lines)]
