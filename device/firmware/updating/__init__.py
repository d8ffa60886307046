"""Updates on the device: slots, what is tried in them, and what is gone back to."""
