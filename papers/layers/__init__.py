"""Layers of jlstm on the same tasks: the full gradient, Adam, batches of sequences."""

from papers.layers import final_answer as final_answer
from papers.layers import model as model
from papers.layers import streams as streams
