"""Texts as people want to read of them: the words of each class, how stable they are, and what later texts bring."""
