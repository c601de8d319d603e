"""Pure rules on NumPy columns: no I/O, no clock, no Spark. `now` is always an argument."""
