"""Flax: weights of the cells of linen and of NNX. Does not import flax."""
