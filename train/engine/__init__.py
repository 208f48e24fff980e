"""The run: state, training step and loop, on any number of devices and processes."""
