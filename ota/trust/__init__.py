"""What a device does to trust a release: TUF metadata, refreshed and kept safely, and verified downloads.

Open `refresh.py` first (what is trusted), then `download.py` (how it comes), `floor.py` and `folder.py` (what
survives a power cut). Never signs anything: that is `ota.images`.
"""
