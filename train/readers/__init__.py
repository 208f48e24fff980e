"""Readers for user files: each returns NumPy arrays, or an error that names the file and line."""
