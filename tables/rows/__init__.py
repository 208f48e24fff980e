"""The experiments, by paper."""
