"""Reproductions of the tables of the LSTM papers: python -m papers."""
