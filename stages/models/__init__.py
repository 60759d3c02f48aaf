"""Families of models behind one contract, the baseline that they must beat, and the bundle that ships."""
