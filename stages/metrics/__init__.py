"""What a task is judged by: exact values, resampling tables, intervals and paired tests."""
