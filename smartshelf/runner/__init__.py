"""Scheduled jobs: what is due on the store's clock runs once per due time, in order, again after a failure or a stop.

``plan`` decides (pure), ``registry`` lists the jobs, ``ledger`` keeps ``ops.job_runs``, ``marks`` learns what the
stages that the calendar fires have done, ``alerting`` tells of runs that failed for good, ``service`` runs it all.
"""
