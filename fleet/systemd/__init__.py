"""The systemd unit of a fleet manager; `pehra fleet unit` writes it with the paths of the machine."""
