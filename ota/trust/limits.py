"""What a client of the image repository lets a source do to it: sizes, times and rates."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on everything that an untrusted source decides.

    Attributes:
        max_root_bytes: Of one version of the root's metadata.
        max_root_rotations: Versions of the root that one refresh follows.
        max_timestamp_bytes: Of the timestamp's metadata.
        max_snapshot_bytes: Of the snapshot's metadata, where the timestamp tells no length.
        max_targets_bytes: Of a targets role's metadata, where the snapshot tells no length.
        max_delegations: Roles that one look-up visits.
        max_delta_bytes: Of a delta, and of what it is applied to and makes: all are held in memory.
        metadata_s: Time for one metadata file, from the connection to its last byte.
        answer_s: Time until a server has said what it is going to send.
        silence_s: Time without any byte.
        slow_window_s: A target's rate is looked at once in this time.
        least_bytes_per_s: A target that comes more slowly than this in a whole window is given up.
        most_bytes_per_s: Bandwidth of a target's download; 0 for no limit.
        tries: Connections for one target while each of them brings something new.
        chunk_bytes: Read and written at once.
        max_redirects: Followed for one file; never from https to http.
    """

    max_root_bytes: int = 512_000
    max_root_rotations: int = 256
    max_timestamp_bytes: int = 16_384
    max_snapshot_bytes: int = 2_000_000
    max_targets_bytes: int = 5_000_000
    max_delegations: int = 32
    max_delta_bytes: int = 16 * 1024 * 1024
    metadata_s: float = 60.0
    answer_s: float = 30.0
    silence_s: float = 20.0
    slow_window_s: float = 60.0
    least_bytes_per_s: float = 200.0
    most_bytes_per_s: float = 0.0
    tries: int = 5
    chunk_bytes: int = 64 * 1024
    max_redirects: int = 3
