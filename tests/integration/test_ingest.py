"""A file through the real servers: gates, layers, record, Redis, bridge, Kafka, Postgres."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from smartshelf.contracts.redis_keys import INGEST
from smartshelf.errors import Unavailable
from smartshelf.ingest import runs
from smartshelf.ingest.kinds import KINDS
from smartshelf.ingest.mapping import Mapping
from smartshelf.ingest.run import Report, ingest
from smartshelf.io import postgres
from smartshelf.settings import CHECKOUT
from tests.integration.bridge_store import BridgeStore
from tests.integration.servers import Servers, eventually

pytestmark = pytest.mark.servers
SALES = "store_id,transaction_id,line_no,timestamp,shelf_id,quantity,unit_price\n"


@pytest.fixture(scope="module")
def store(connected: Servers) -> Iterator[BridgeStore]:
    """A bridge at work, and a world that stands at step 60."""
    store = BridgeStore(connected)
    store.live(60)
    with store.bridging():
        yield store


@pytest.fixture(scope="module")
def shelves(store: BridgeStore) -> list[str]:
    with postgres.connect(store.config, "owner", "test") as connection, connection.cursor() as cursor:
        cursor.execute("select shelf_id from config.shelf_profiles where store_id = 'S01' order by 1 limit 20")
        return [row[0] for row in cursor.fetchall()]


def take(store: BridgeStore, file: Path, kind: str) -> Report:
    return ingest(store.config, file, KINDS[kind], Mapping(), print)


def rows(store: BridgeStore, query: str) -> list[Any]:
    with postgres.connect(store.config, "analyst", "test") as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def sales(path: Path, shelves: list[str], receipts: range) -> Path:
    lines = [
        f"S01,X{r},{n},2026-01-01T07:{r % 60:02}:00Z,{shelves[(r + n) % 20]},1,1.50\n" for r in receipts for n in (1, 2)
    ]
    path.write_text(SALES + "".join(lines))
    return path


def sent(store: BridgeStore, stream: str, source: str) -> list[dict[str, Any]]:
    return [event for event in store.events(stream) if event["source"] == source]


def test_accepted_rows_arrive_in_kafka_once_and_the_run_is_on_record(
    store: BridgeStore, shelves: list[str], tmp_path: Path
) -> None:
    file = sales(tmp_path / "sales.csv", shelves, range(50))
    file.write_text(file.read_text() + "S01,Y1,1,2026-01-01T07:00:00Z,NOSUCH,1,1.50\n")
    report = take(store, file, "sales")
    assert (report.effect, report.run.status) == (250, "done")
    assert take(store, file, "sales").again
    take(store, sales(tmp_path / "again.csv", shelves, range(10, 60)), "sales")
    receipts = sent(store, "pos_transactions", "ingest:sales")
    assert [event["seq"] for event in receipts] == list(range(1, 61))
    assert {event["transaction_id"] for event in receipts} == {f"X{r}" for r in range(60)}
    assert [event["seq"] for event in sent(store, "shelf_events", "ingest:sales")] == list(range(1, 241))
    counts = "rows, accepted, known, quarantined, anomalies"
    found = rows(store, f"select {counts} from ops.ingest_runs where kind = 'sales' order by started")
    assert found == [(101, 100, 0, 1, {"referential": 1}), (100, 20, 80, 0, {})]
    assert store.client.hlen(INGEST) == 0


def test_killed_at_any_moment_and_called_again_it_comes_to_the_same_end(
    store: BridgeStore, shelves: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "deliveries.csv"
    lots = [f"S01,D1,2026-01-01T07:30:00Z,{shelves[i % 20]},K{i},5,2026-02-01" for i in range(8_000)]
    file.write_text("store_id,delivery_id,timestamp,shelf_id,batch_code,qty,expiry_date\n" + "\n".join(lots) + "\n")
    command = [
        sys.executable,
        "-c",
        "from smartshelf.cli import main; main()",
        "ingest",
        str(file),
        "--as",
        "deliveries",
    ]
    for moment in ("staging", "verdict", "sending"):
        process = subprocess.Popen(command, env=store.servers.env, cwd=CHECKOUT, stdout=subprocess.DEVNULL)
        eventually(partial(_ended_or_reached, process, store, moment), moment)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    report = take(store, file, "deliveries")
    assert report.run.accepted == 8_000
    store.drained()
    arrived = sent(store, "wh_events", "ingest:deliveries")
    assert [event["seq"] for event in arrived] == list(range(1, 8_001))
    assert len({event["batch_code"] for event in arrived}) == 8_000


def _ended_or_reached(process: subprocess.Popen[bytes], store: BridgeStore, moment: str) -> bool:
    return process.poll() is not None or _reached(store, moment)


def _reached(store: BridgeStore, moment: str) -> bool:
    if moment == "staging":
        return any((store.config.delta_root / "staging" / "ingest" / "deliveries").glob("file_hash=*/*.parquet"))
    if moment == "verdict":
        return bool(rows(store, "select 1 from ops.ingest_runs where kind = 'deliveries'"))
    return bool(store.client.hlen(INGEST))


def test_policies_enter_as_peoples_rows_and_an_equal_row_is_left_alone(
    store: BridgeStore, shelves: list[str], tmp_path: Path
) -> None:
    header = "applies_to,store_id,shelf_id,threshold_pct,target_pct,reorder_point_qty,order_up_to_qty\n"
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    first.write_text(f"{header}shelf,S01,{shelves[0]},35,85,,\nbackroom,S01,{shelves[0]},,,20,90\n")
    second.write_text(f"{header}shelf,S01,{shelves[0]},35,85,,\nbackroom,S01,{shelves[0]},,,30,90\n")
    assert take(store, first, "policies").effect == 2
    assert take(store, second, "policies").effect == 1
    both = "config.shelf_policies s join config.wh_policies w using (shelf_id)"
    found = rows(store, f"select threshold_pct, reorder_point_qty from {both} where shelf_id = '{shelves[0]}'")
    assert found == [(35.0, 30)]


def test_products_are_upserted_while_no_other_ingest_is_at_work(
    store: BridgeStore, shelves: list[str], tmp_path: Path
) -> None:
    names, where = KINDS["products"].names, f"where store_id = 'S01' and shelf_id = '{shelves[1]}'"
    (row,) = rows(store, f"select {', '.join(names)} from config.shelf_profiles {where}")
    file = tmp_path / "products.json"
    file.write_bytes(msgspec.json.encode([dict(zip(names, row, strict=True)) | {"item_price": 9.99}]))
    with runs.opened(store.config), pytest.raises(Unavailable, match="Another ingest is at work"):
        take(store, file, "products")
    assert take(store, file, "products").effect == 1
    assert float(rows(store, f"select item_price from config.shelf_profiles {where}")[0][0]) == 9.99
