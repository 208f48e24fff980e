"""Layers of this library with the same tasks: the whole gradient, Adam, sequences in batches."""

from papers.layers import final_answer as final_answer
from papers.layers import model as model
from papers.layers import streams as streams
