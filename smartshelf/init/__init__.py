"""The one-shot step between servers and services: topics, database, reference data, opening facts.

Every part may be repeated and does nothing the second time.
"""
