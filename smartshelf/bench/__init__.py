"""Measurements of the running store, printed as a table beside their goals. Never asserted by a test."""
