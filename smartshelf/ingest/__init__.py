"""Batch files beside the streams: read in pieces, judged by gates, accepted as facts or as people's rows.

``files`` reads, ``gates`` judges (pure), ``layers`` keeps every stage in Delta, ``runs`` is the record in
Postgres, ``send`` writes the facts; ``kinds`` has one file for each kind of file.
"""
