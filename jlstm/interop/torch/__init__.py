"""PyTorch: weights of `torch.nn.LSTM`, `GRU`, `RNN` and of their cells. Does not import torch."""
