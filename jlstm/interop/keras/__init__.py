"""Keras 3: weights of LSTM, GRU and SimpleRNN. Does not import keras."""
