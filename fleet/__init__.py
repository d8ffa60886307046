"""The manager: takes in what devices say, keeps it, shows it to people.

Open `app.py` first (the table of contents), then `ingest.py` (the one road that data takes).
Knows nothing of cameras' insides: of our own rooms it imports only `ota`.
"""
