"""The times of a table: their column, their dates, and equal steps."""
