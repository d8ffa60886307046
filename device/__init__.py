"""What runs on the camera's board: `models/` (the detector) and `firmware/` (the daemon).

Open `firmware/pipeline.py` first: it is the road that every frame takes.
"""
