"""ONNX: stacks as standard `LSTM`, `GRU` and `RNN` nodes. Imports onnx on use."""
