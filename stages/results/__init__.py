"""The report on results: facts, effects, costs, segments, one page."""
