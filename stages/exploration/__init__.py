"""The report on clean data: summaries, findings, charts, sentences."""
