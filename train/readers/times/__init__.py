"""The times of a table: the column, its dates, the equal steps that they keep."""
