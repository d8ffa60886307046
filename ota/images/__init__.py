"""The image repository: what an operator signs offline, and what a fleet publishes and keeps fresh.

Open `home.py` first (the folder and its keys), then `signing.py` (staged, signed, current), `adding.py`
(targets) and `publishing.py` (static files for any web server). Devices trust it by `ota.trust`.
"""
