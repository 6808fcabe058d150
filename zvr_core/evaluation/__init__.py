"""Tables: every method on every clip with every seed, at equal sharpness; start at `evaluate`."""
