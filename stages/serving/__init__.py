"""For serve: bundles behind HTTP; what is answered, refused, measured and swapped."""
