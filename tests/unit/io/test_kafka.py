"""Where a record goes, and what a transactional writer makes of Kafka's answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from smartshelf.errors import Fenced
from smartshelf.io import kafka
from smartshelf.io.kafka import RepeatTransaction, TransactionalWriter, murmur2, partition_for_store


@pytest.mark.parametrize(
    ("text", "signed"),
    # From Kafka's own UtilsTest.testMurmur2.
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_murmur2_is_kafkas(text: str, signed: int) -> None:
    assert murmur2(text.encode()) == signed & 0xFFFFFFFF


def test_a_stores_partition_is_the_hash_without_its_sign() -> None:
    assert partition_for_store("21", 7) == (-973932308 & 0x7FFFFFFF) % 7
    assert all(partition_for_store(f"S{number:02}", 1) == 0 for number in range(20))


class FakeProducer:
    """Answers each commit with the next of the given errors; None: committed."""

    def __init__(self, answers: list[KafkaError | None]) -> None:
        self.answers, self.calls = answers, list[str]()

    def begin_transaction(self) -> None:
        self.calls.append("begin")

    def commit_transaction(self, _timeout: float) -> None:
        self.calls.append("commit")
        if error := self.answers.pop(0):
            raise KafkaException(error)

    def abort_transaction(self, _timeout: float) -> None:
        self.calls.append("abort")


@pytest.fixture
def writer_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeProducer], TransactionalWriter]:
    monkeypatch.setattr(kafka.time, "sleep", lambda _: None)

    def make(producer: Any) -> TransactionalWriter:
        writer = TransactionalWriter.__new__(TransactionalWriter)
        writer._producer, writer._timeout = producer, 30.0
        return writer

    return make


def _error(code: int, **flags: bool) -> KafkaError:
    return KafkaError(
        code, "for the test", flags.get("fatal", False), flags.get("retriable", False), flags.get("abort", False)
    )


def test_a_transaction_that_must_be_aborted_is_filled_again(writer_of: Callable[..., TransactionalWriter]) -> None:
    producer = FakeProducer([_error(KafkaError._TIMED_OUT, abort=True), None])
    filled: list[int] = []
    writer_of(producer).transaction(lambda _: filled.append(1))
    assert producer.calls == ["begin", "commit", "abort", "begin", "commit"]
    assert len(filled) == 2


def test_a_commit_that_may_be_retried_is_called_again_without_filling(
    writer_of: Callable[..., TransactionalWriter],
) -> None:
    producer = FakeProducer([_error(KafkaError._TIMED_OUT, retriable=True), None])
    filled: list[int] = []
    writer_of(producer).transaction(lambda _: filled.append(1))
    assert producer.calls == ["begin", "commit", "commit"]
    assert len(filled) == 1


def test_an_undelivered_record_aborts_and_fills_again(writer_of: Callable[..., TransactionalWriter]) -> None:
    producer = FakeProducer([None])
    outcomes = iter([True, False])

    def fill(_: TransactionalWriter) -> None:
        if next(outcomes):
            raise RepeatTransaction

    writer_of(producer).transaction(fill)
    assert producer.calls == ["begin", "abort", "begin", "commit"]


def test_a_fenced_writer_says_so(writer_of: Callable[..., TransactionalWriter]) -> None:
    producer = FakeProducer([_error(KafkaError._FENCED, fatal=True)])
    with pytest.raises(Fenced, match="no longer accepts"):
        writer_of(producer).transaction(lambda _: None)
    assert "abort" not in producer.calls


def test_a_broker_that_does_not_answer_is_told_in_words_with_where_to_look() -> None:
    failed = KafkaException(KafkaError(KafkaError._TRANSPORT, "Failed to get metadata"))
    assert str(kafka.away(failed)) == (
        "Kafka does not answer. Found: 'Failed to get metadata'. Is the store up? See `smartshelf status`."
    )
