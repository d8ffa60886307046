"""What root writes into somebody's folder is that somebody's: a fleet must be able to read its new key."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def give_to_owner(folder: Path) -> None:
    """Give what root has written below a folder to whoever owns the folder; does nothing for others.

    Links are not followed, and a file that has a second name elsewhere is left alone.
    """
    if os.geteuid() != 0 or not folder.is_dir():
        return
    owner = folder.stat()
    if owner.st_uid == 0:
        return
    for _, folders, files, handle in os.fwalk(folder):
        for name in (*folders, *files):
            about = os.stat(name, dir_fd=handle, follow_symlinks=False)
            is_ours = stat.S_ISDIR(about.st_mode) or (stat.S_ISREG(about.st_mode) and about.st_nlink == 1)
            if about.st_uid == 0 and is_ours:
                os.chown(name, owner.st_uid, owner.st_gid, dir_fd=handle, follow_symlinks=False)
