"""PyTorch: weights of `torch.nn.LSTM`, `GRU`, `RNN` and of their cells. Imports no torch."""
