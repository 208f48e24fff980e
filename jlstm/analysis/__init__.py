"""Analysis of a layer on a sequence: its gates, its memory, its gradients."""
