"""Numbers only: tallies, rates, intervals, groups and the result. Knows no image, no vendor's file, no network."""
