"""Cameras: drivers that yield frames, and the thread that keeps the newest of them.

Read `frame.py`, `camera.py`, `sources.py`, `capture.py` in this order; each driver is one module beside
them, and `street.py` is the simulated street. A driver of real hardware runs in a process of its own:
`isolated.py` (our side), `child.py` (its side), `sharing.py` (between them). Nothing here looks into a frame.
"""
