"""What a dataset promises, and how its published rows become tidy ones and features, one partition at a time."""
