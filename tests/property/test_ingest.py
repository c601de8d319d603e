"""Any mix of good and bad rows: none is lost, none enters twice, whatever is fed again."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.ingest.store import Store
from tests.unit.ingest.test_run import HEADER, facts, line, written

ROW = st.builds(
    line,
    receipt=st.sampled_from([f"R{i}" for i in range(12)]),
    number=st.integers(1, 4),
    quantity=st.sampled_from([1, 2, 2, 2, "", "x", 0]),
    shelf=st.sampled_from(["BEVWAT0001", "BEVWAT0001", "DAIMIL0001", "NOSUCH"]),
)
#: Rows that keep a file below what is tolerated.
FILLING = [line(f"G{i}", 1) for i in range(320)]


@settings(max_examples=8, deadline=None)
@given(st.lists(ROW, max_size=8), st.lists(ROW, max_size=8))
def test_rows_add_up_and_no_receipt_enters_twice(first: list[str], second: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        for name, rows in (("a", first), ("b", [*second, *first])):
            file = written(store.root / f"{name}.csv", HEADER, *FILLING, *rows)
            run = store.take(file, "sales").run
            assert run.verdict == "accepted"
            assert run.accepted + run.known + run.quarantined == run.rows == len(FILLING) + len(rows)
            assert run.anomalous <= run.quarantined
            sent = list(store.streams.sent)
            assert store.take(file, "sales").again
            assert store.streams.sent == sent
        receipts = facts(store, "pos_transactions")
        assert max(Counter(fact.transaction_id for fact in receipts).values()) == 1
        assert [fact.seq for fact in receipts] == list(range(1, len(receipts) + 1))
        assert [fact.seq for fact in facts(store, "shelf_events")] == list(
            range(1, 2 * sum(len(fact.items) for fact in receipts) + 1)
        )
