"""Keras 3: weights of LSTM, GRU and SimpleRNN. Imports no keras."""
