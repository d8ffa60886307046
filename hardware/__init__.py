"""What is bolted down: camera drivers, and later boards, GPS and the flight link.

Imports nothing else of ours. Open `camera/sources.py` first: it turns a source string into a camera.
"""
