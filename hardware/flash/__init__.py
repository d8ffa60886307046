"""From an image file to a card that sets itself up: write, read back, put the first-boot files beside it.

Start with `flashing.py`, the road from top to bottom. Nothing here mounts anything, asks anybody or knows
what a ticket is: the claim comes in as bytes. Linux only: disks are found in sysfs.
"""
