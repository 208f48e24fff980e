"""The run: its state, its steps and its loop, on any number of devices and processes."""
