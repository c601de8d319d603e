"""``spark_apps.main`` once for every job: each with its own query, checkpoint and writer, as ``--jobs NAME`` starts it.

They share one JVM, which alone would cost each of them 0.6 GB and ten seconds.
"""

from __future__ import annotations

from smartshelf.service import running
from spark_apps import jobs, main, session

if __name__ == "__main__":
    with running("spark") as service:
        config, alone = service.settings, [jobs.select(name) for name in jobs.select("all")]
        spark = session.start(config)
        queries = [query for names in alone for query in main.start(spark, config, names)]
        chores = [chore for names in alone for chore in main.chores_of(config, names, [])]
        main.watch(service, queries, chores)
