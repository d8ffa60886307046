"""The cable between a board and a laptop: bytes that may be noise become frames that are whole, or nothing.

Open `framing.py` first, then `line.py`, the serial port or socket below it. What a frame says is no business
of this room. Imports nothing else of ours.
"""
