"""The books: where every unit is, folded independently from each store of record and compared.

``quiet`` brings a running store to rest, ``sources`` reads each place, ``books`` compares (pure).
"""
