"""The one-command demo: a broker, a fleet manager and cameras, each the real program in its own process.

Open `run.py` first. Nothing in the demo is simulated but the street itself.
"""
