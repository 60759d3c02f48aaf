"""Plumbline: one thin module per pipeline stage; see docs/architecture.md for the rooms."""
