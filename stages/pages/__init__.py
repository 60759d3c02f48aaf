"""How numbers, verdicts, tables and pictures are written for people, the same everywhere."""
