"""Neural networks: how they are trained, kept and scored.  What imports PyTorch is imported inside functions."""
