"""OS images for engines that exist: SWUpdate and rauc-hawkbit-updater, by hawkBit's device API (DDI).

Open `routes.py` first: what a device asks. Then `actions.py` (one order of a rollout, as its client knows
it), `feedback.py` (what a client's words make of it, pure), `documents.py` (the answers, pure), `entry.py`
(who it is), `images.py` (the files). docs/os-images.md is the manual.
"""
