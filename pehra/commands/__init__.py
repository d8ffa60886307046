"""One module a command; heavy libraries are imported inside the commands that need them."""
