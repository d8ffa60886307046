"""Tells devices what is wanted of them, in signed documents.

Open `telling.py` first (when which device is told), then `documents.py` (what a document says), `marks.py`
(how a number rises), `seal.py` (the signature) and `home.py` (keys and roots on disk).
"""
