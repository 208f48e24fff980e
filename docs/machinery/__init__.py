"""Builds the pages: extensions of Sphinx, pictures, and checks of the built pages."""
