"""Every fact of some days, made by the world and the configured stages in one process: the oracle for live runs.

``process`` lives the days in memory, ``files`` writes what came out, ``cli`` is ``smartshelf data facts``.
"""
