"""Base models: one contract, one adapter per family, and `load_model`."""
