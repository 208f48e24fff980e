"""Output of a run: weights, figures, pictures, the report."""
