"""The nets of the papers, and how they learn."""

from tables.nets import blocks as blocks
from tables.nets import endings as endings
from tables.nets import streams as streams
