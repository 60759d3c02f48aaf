"""The scripts behind `make`: they serve the repository; no stage imports them."""
