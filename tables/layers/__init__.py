"""Layers of this library with the same tasks: the whole gradient, Adam, sequences in batches."""

from tables.layers import endings as endings
from tables.layers import model as model
from tables.layers import streams as streams
