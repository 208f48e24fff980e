"""The training program: `python -m train configs/char_lm.toml`."""
