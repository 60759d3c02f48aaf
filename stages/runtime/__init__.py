"""Threads, workers, cache, log.  Nothing here changes a result, so no stage of dvc.yaml depends on it."""
