"""Files of layers from one format to another: `python -m jlstm.convert IN OUT`."""
