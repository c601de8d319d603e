"""The step protocol inside Spark: cuts, pending facts, stages, effects, recovery.

``engine`` and what it uses are pure (no Spark, no clock, no I/O); ``processor`` is the shell in Spark's
state store, ``effects`` the one Kafka transaction of a batch, ``recovery`` what happens after a loss.
"""
