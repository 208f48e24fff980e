"""Cells: for each layer type its weights, their initial values, and one time step."""
