"""The image repository in the fleet: served as static files, signed again in time, known to rollouts.

Open `serving.py` (what devices download), then `keeping.py` (what is done every minute) and `catalogue.py`
(what the repository offers, verified as a device would).
"""
