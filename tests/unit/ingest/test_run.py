"""One ingest from file to facts, on layers in a folder and with a record and streams in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from deltalake import DeltaTable

from smartshelf.contracts.topics import STREAMS
from smartshelf.errors import BadInput, Unavailable
from smartshelf.ingest import layers, send
from smartshelf.ingest.kinds import base
from tests.unit.ingest.store import Store

HEADER = "store_id,transaction_id,line_no,timestamp,shelf_id,quantity,unit_price"
DELIVERIES = "store_id,delivery_id,timestamp,shelf_id,batch_code,qty,expiry_date"


def line(receipt: str, number: int, quantity: object = 1, shelf: str = "BEVWAT0001", price: str = "0.50") -> str:
    return f"S01,{receipt},{number},2026-01-02T09:00:00Z,{shelf},{quantity},{price}"


def lot(batch: str, qty: object = 5, delivery: str = "D1") -> str:
    return f"S01,{delivery},2026-01-02T08:00:00Z,DAIMIL0001,{batch},{qty},2026-01-20"


def written(path: Path, *lines_: str) -> Path:
    path.write_text("\n".join(lines_) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def facts(store: Store, stream: str) -> list[Any]:
    return [STREAMS[stream].decoder.decode(data) for name, _, data in store.streams.sent if name == stream]


def quarantined(store: Store, kind: str) -> dict[int, list[str]]:
    rows = DeltaTable(str(store.root / "delta" / "quarantine" / "ingest" / kind)).to_pyarrow_table().to_pylist()
    return {row["line"]: row["gates"] for row in rows}


def many(count: int) -> list[str]:
    """Good receipts of one line each: so many that a bad row stays below what is tolerated."""
    return [line(f"G{i}", 1) for i in range(count)]


def test_a_receipt_becomes_its_pickups_readings_and_one_transaction(store: Store, tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", HEADER, line("R1", 1, 2), line("R1", 2, 1, "DAIMIL0001", "1.25"), line("R2", 1))
    report = store.take(file, "sales")
    first, second = facts(store, "pos_transactions")
    assert (first.transaction_id, first.total_items, first.total_amount) == ("R1", 3, 2.25)
    assert [item.line_no for item in first.items] == [1, 2]
    assert first.source == "ingest:sales"
    at_shelf = facts(store, "shelf_events")
    taken = [fact for fact in at_shelf if fact.__struct_config__.tag == "pickup"]
    felt = [fact for fact in at_shelf if fact.__struct_config__.tag == "weight_change"]
    assert [(fact.shelf_id, fact.quantity) for fact in taken] == [
        ("BEVWAT0001", 2),
        ("DAIMIL0001", 1),
        ("BEVWAT0001", 1),
    ]
    assert [fact.delta_weight for fact in felt] == [-3_000.0, -1_030.0, -1_500.0]
    assert {fact.customer_id for fact in taken[:2]} == {first.customer_id} != {second.customer_id}
    assert report.effect == 8


def test_facts_are_numbered_without_gap_by_stream_across_files(store: Store, tmp_path: Path) -> None:
    store.take(written(tmp_path / "a.csv", HEADER, line("R1", 1), line("R1", 2)), "sales")
    store.take(written(tmp_path / "b.csv", HEADER, line("R2", 1), line("R3", 1)), "sales")
    assert [fact.seq for fact in facts(store, "shelf_events")] == list(range(1, 9))
    assert [fact.seq for fact in facts(store, "pos_transactions")] == [1, 2, 3]


def test_the_same_file_again_changes_nothing(store: Store, tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", HEADER, *many(3))
    store.take(file, "sales")
    before = list(store.streams.sent)
    again = store.take(written(tmp_path / "copy.csv", HEADER, *many(3)), "sales")
    assert again.again
    assert store.streams.sent == before


def test_the_same_rows_in_another_file_change_nothing(store: Store, tmp_path: Path) -> None:
    store.take(written(tmp_path / "a.csv", HEADER, *many(3)), "sales")
    before = len(store.streams.sent)
    report = store.take(written(tmp_path / "b.csv", HEADER, *reversed(many(4))), "sales")
    assert (report.run.accepted, report.run.known) == (1, 3)
    assert len(store.streams.sent) == before + 3


def test_the_same_document_with_other_values_is_put_aside(store: Store, tmp_path: Path) -> None:
    store.take(written(tmp_path / "a.csv", HEADER, line("R1", 1, 2)), "sales")
    report = store.take(written(tmp_path / "b.csv", HEADER, *many(30), line("R1", 1, 3)), "sales")
    assert (report.run.accepted, report.run.known, report.run.quarantined) == (30, 0, 1)
    assert quarantined(store, "sales") == {32: ["duplicate"]}


def test_a_default_that_is_written_out_is_the_same_value(store: Store, tmp_path: Path) -> None:
    store.take(written(tmp_path / "a.csv", DELIVERIES, lot("L1")), "deliveries")
    file = written(tmp_path / "b.csv", DELIVERIES + ",received_date", lot("L1") + ",2026-01-02")
    assert store.take(file, "deliveries").run.known == 1


def test_one_bad_line_keeps_its_whole_receipt_back_and_counts_once(store: Store, tmp_path: Path) -> None:
    bad = [line("R1", 1), line("R1", 2, "none"), line("R1", 3)]
    report = store.take(written(tmp_path / "a.csv", HEADER, *many(30), *bad), "sales")
    assert (report.run.accepted, report.run.quarantined, report.run.anomalous) == (30, 3, 1)
    assert quarantined(store, "sales") == {32: ["held"], 33: ["shape"], 34: ["held"]}
    assert "R1" not in {fact.transaction_id for fact in facts(store, "pos_transactions")}


def test_a_line_given_twice_counts_once(store: Store, tmp_path: Path) -> None:
    report = store.take(written(tmp_path / "a.csv", HEADER, *many(30), line("R1", 1), line("R1", 1)), "sales")
    assert (report.run.accepted, report.run.anomalies) == (31, {"duplicate": 1})
    assert facts(store, "pos_transactions")[-1].total_items == 1


def test_a_receipt_whose_lines_are_scattered_enters_as_far_as_it_stood_together(store: Store, tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", HEADER, line("R1", 1), *many(30), line("R1", 2))
    report = store.take(file, "sales")
    assert (report.run.accepted, report.run.anomalies) == (31, {"duplicate": 1})
    assert "must stand together" in report.examples[0]


def test_more_anomalies_than_tolerated_refuse_the_file_and_leave_nothing_behind(store: Store, tmp_path: Path) -> None:
    rows = [lot(f"L{i}", "0" if i % 10 == 0 else 5) for i in range(40)]
    report = store.take(written(tmp_path / "a.csv", DELIVERIES, *rows), "deliveries")
    assert (report.run.verdict, report.run.accepted, report.run.anomalies) == ("refused", 0, {"range": 4})
    assert store.streams.sent == []
    mended = [lot(f"L{i}") for i in range(40)]
    assert store.take(written(tmp_path / "a.csv", DELIVERIES, *mended), "deliveries").run.accepted == 40


def test_five_percent_are_tolerated_exactly(store: Store, tmp_path: Path) -> None:
    rows = [lot(f"L{i}", 0 if i == 7 else 5) for i in range(20)]
    report = store.take(written(tmp_path / "a.csv", DELIVERIES, *rows), "deliveries")
    assert (report.run.verdict, report.run.accepted, report.run.quarantined) == ("accepted", 19, 1)


def test_killed_while_it_sends_it_goes_on_where_it_was_whatever_file_comes_next(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send, "AT_ONCE", 4)
    file = written(tmp_path / "a.csv", DELIVERIES, *(lot(f"L{i}") for i in range(20)))
    whole = Store(tmp_path / "whole")
    whole.take(file, "deliveries")
    store.streams.fails_after = 2
    with pytest.raises(Unavailable):
        store.take(file, "deliveries")
    assert len(store.streams.sent) == 8
    store.streams.fails_after = None
    other = written(tmp_path / "b.csv", DELIVERIES, lot("M1", delivery="D2"))
    store.take(other, "deliveries")
    assert store.streams.sent[:20] == whole.streams.sent
    assert [fact.seq for fact in facts(store, "wh_events")] == list(range(1, 22))
    assert store.take(file, "deliveries").again


def test_killed_before_its_verdict_a_file_has_not_counted(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path / "a.csv", HEADER, *many(5))

    def killed(_run: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(store.record, "record", killed)
        with pytest.raises(KeyboardInterrupt):
            store.take(file, "sales")
    report = store.take(written(tmp_path / "b.csv", HEADER, *many(6)), "sales")
    assert (report.run.accepted, report.run.known) == (6, 0)
    report = store.take(file, "sales")
    assert (report.run.accepted, report.run.known, report.run.rows) == (0, 5, 5)


def test_receipts_stay_whole_and_numbers_true_however_the_file_is_cut(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [line(f"R{i}", number) for i in range(60) for number in range(1, 2 + i % 5)]
    file = written(tmp_path / "a.csv", HEADER, *rows)
    whole = Store(tmp_path / "whole")
    whole.take(file, "sales")
    monkeypatch.setattr("smartshelf.ingest.files.pieces.__defaults__", (700,))
    monkeypatch.setattr(layers, "LINES_AT_ONCE", 7)
    monkeypatch.setattr(layers, "IDS_AT_ONCE", 16)
    store.take(file, "sales")
    assert store.streams.sent == whole.streams.sent
    pieces = (tmp_path / "delta" / "raw" / "ingest" / "sales").glob("file_hash=*/*")
    assert len(list(pieces)) > layers.delta.MANY, "it was written in pieces, joined at the end"


def test_a_receipt_too_long_to_be_one_does_not_fill_the_memory(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "MOST_ROWS", 10)
    monkeypatch.setattr("smartshelf.ingest.files.pieces.__defaults__", (700,))
    report = store.take(written(tmp_path / "a.csv", HEADER, *(line("R1", i) for i in range(1, 100))), "sales")
    assert report.run.verdict == "refused"


def test_layers_keep_the_record_as_it_came_and_as_it_was_understood(store: Store, tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", DELIVERIES + ",note", *(lot(f"L{i}") + ",fragile" for i in range(30)), "S01,D1")
    report = store.take(file, "deliveries")
    assert report.ignored == ["note"]
    table = {
        layer: DeltaTable(str(tmp_path / "delta" / layer / "ingest" / "deliveries")).to_pyarrow_table().to_pylist()
        for layer in ("raw", "staging", "quarantine", "processed")
    }
    assert [len(rows) for rows in table.values()] == [31, 30, 1, 30]
    raw = next(row for row in table["raw"] if row["line"] == 2)
    assert dict(raw["record"])["note"] == "fragile"
    assert dict(table["quarantine"][0]["record"]) == {"": "S01,D1"}
    assert "has 2 fields, the header 8" in table["quarantine"][0]["reasons"][0]


def test_a_missing_column_is_named_with_the_nearest_one_of_the_file(store: Store, tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", DELIVERIES.replace("batch_code", "batchcode"), lot("L1"))
    with pytest.raises(BadInput, match=r"the column batch_code is missing; is it 'batchcode'\?"):
        store.take(file, "deliveries")


def test_an_optional_column_that_is_misspelt_is_not_passed_over(store: Store, tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", HEADER + ",discont", line("R1", 1) + ",0.2")
    with pytest.raises(BadInput, match=r"the column discount is not named; is it 'discont'\?"):
        store.take(file, "sales")


def test_a_mapping_renames_columns_and_gives_constants(store: Store, tmp_path: Path) -> None:
    file = written(
        tmp_path / "a.csv", "Lieferschein;Zeit;Regal;Charge;Menge;MHD", "D1;02.01.2026;DAIMIL0001;L1;5;20.01.2026"
    )
    told = {
        "columns": {
            "delivery_id": "Lieferschein",
            "timestamp": "Zeit",
            "shelf_id": "Regal",
            "batch_code": "Charge",
            "qty": "Menge",
            "expiry_date": "MHD",
        },
        "constants": {"store_id": "S01"},
        "dates": "%d.%m.%Y",
    }
    store.take(file, "deliveries", told)
    (fact,) = facts(store, "wh_events")
    assert (fact.store_id, fact.qty, fact.received_date) == ("S01", 5, "2026-01-02")
    file.write_text(file.read_text().replace("L1", "L2"))
    with pytest.raises(BadInput, match=r"the mapping names a column 'quantity' that deliveries do not have"):
        store.take(file, "deliveries", {"columns": {"quantity": "Menge"}})


def test_json_records_may_leave_optional_columns_out(store: Store, tmp_path: Path) -> None:
    names = DELIVERIES.split(",")
    documents_ = [dict(zip(names, lot(f"L{i}").split(","), strict=True)) for i in range(200)]
    documents_[-1]["order_id"] = "O1"
    file = tmp_path / "a.json"
    file.write_bytes(msgspec.json.encode(documents_))
    assert store.take(file, "deliveries").run.accepted == 200
    assert facts(store, "wh_events")[-1].order_id == "O1"


def test_a_file_without_rows_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="has no rows"):
        store.take(written(tmp_path / "a.csv", DELIVERIES), "deliveries")
