"""The front door: the `pehra` command line and the one-command demo. Open `cli.py` first."""
