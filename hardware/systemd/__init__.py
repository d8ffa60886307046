"""The units with which systemd runs a device and its console; `pehra device unit` writes them out."""
