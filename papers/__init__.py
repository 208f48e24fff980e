"""The tables of the LSTM papers, measured again: python -m papers."""
