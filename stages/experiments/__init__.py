"""What is done around runs: tuning, folds, comparison, promotion, tracking, and the revisions they read."""
