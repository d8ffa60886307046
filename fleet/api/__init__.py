"""REST under `/api/v1`: routers of one noun each, one place for errors, one for what they depend on.

Open `routers.py` first. Handlers ask `fleet/queries`; they hold no logic.
"""
