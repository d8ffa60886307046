"""The unit with which systemd runs a device; `pehra device unit` writes it out for this machine."""
