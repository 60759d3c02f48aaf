"""The feature table: what a column looks like, in which bin a value falls, which columns stay."""
