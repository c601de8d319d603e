"""Renders the contracts for others: Spark, Arrow, Connect, Postgres, JSON Schema, Markdown. Pure functions."""
