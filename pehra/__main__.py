"""`python -m pehra` is `pehra`."""

from pehra.cli import main

main()
