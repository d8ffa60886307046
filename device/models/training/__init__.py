"""Training of Pehra's own detectors, and their way into an int8 file: open `train.py`, then `export.py`.

Importing this package imports neither torch nor TensorFlow; the functions that need them do, when called.
"""
