"""Thin ports to the outside: Redis Streams, Kafka, Delta and Postgres. No rules here."""
