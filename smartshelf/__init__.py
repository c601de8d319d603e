"""Smart Shelf's one shared library. Importing it does nothing.

contracts  every shape, name and topic, declared once
domain     pure rules on NumPy columns: no I/O, no clock, no Spark
io         thin ports to Redis, Kafka, Delta and Postgres
"""
