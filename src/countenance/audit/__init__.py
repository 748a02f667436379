"""Numbers only: tallies, rates, intervals, groups, the result. Knows no image, no vendor's file, no network."""
