"""jlstm on a GPU against its peers: `python -m benchmarks.gpu`."""
