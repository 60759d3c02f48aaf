"""Where published files come from: packages, folders, http(s), S3; in whole, checked, and on record."""
