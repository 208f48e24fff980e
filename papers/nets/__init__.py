"""The nets of the papers, and their learning rules."""

from papers.nets import blocks as blocks
from papers.nets import final_answer as final_answer
from papers.nets import streams as streams
