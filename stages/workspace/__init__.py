"""What of the repository a stage reads and writes: parameters, paths, whole files; and the errors a user reads."""
