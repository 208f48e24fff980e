"""Flax: weights of the cells of linen and of NNX. Imports no flax."""
