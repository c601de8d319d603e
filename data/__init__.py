"""The assortment, the floor plan and the generators of everything a store starts with."""
