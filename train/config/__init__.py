"""Settings of a run: defaults, TOML files, and flags."""
