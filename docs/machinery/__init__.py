"""What builds the pages: extensions of Sphinx, and what draws their pictures."""
