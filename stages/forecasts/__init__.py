"""What was forecast, and what came true: a log, and how well the forecasts in it did."""
