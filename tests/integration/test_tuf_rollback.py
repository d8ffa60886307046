"""What is older than what was trusted is refused, unless the root has taken the keys that trusted it away."""

from __future__ import annotations

import pytest


def test_a_timestamp_that_goes_back_is_refused(client, repository):
    client.init()
    repository.issue("timestamp")
    assert client.refresh() == 0
    repository.issue("timestamp", version=1)
    assert client.refresh() == 1
    assert client.version("timestamp") == 2


@pytest.mark.parametrize("has_hashes", [False, True])
def test_a_timestamp_that_vouches_for_an_older_snapshot_is_refused(client, served, repository, has_hashes):
    repository.has_hashes = has_hashes
    client.init()
    repository.issue("snapshot", "timestamp")
    assert client.refresh() == 0
    repository.issue("snapshot", version=1)
    repository.issue("timestamp")
    assert client.refresh() == 1
    assert (client.version("timestamp"), client.version("snapshot")) == (2, 2)
    assert served.metadata_asked()[-1] == "timestamp.json"


def test_a_snapshot_that_goes_back_unannounced_is_not_even_asked_for(client, served, repository):
    client.init()
    repository.issue("snapshot", "timestamp")
    client.refresh()
    repository.snapshot.version = 1
    assert client.refresh() == 0
    assert client.version("snapshot") == 2
    assert served.metadata_asked()[-1] == "timestamp.json"


@pytest.mark.parametrize("has_hashes", [False, True])
def test_a_snapshot_that_vouches_for_older_targets_is_refused(client, repository, has_hashes):
    repository.has_hashes = has_hashes
    client.init()
    repository.issue("targets")
    repository.issue_all()
    assert client.refresh() == 0
    repository.issue("targets", version=1)
    repository.issue("snapshot", "timestamp")
    assert client.refresh() == 1
    assert client.version("snapshot") == 2
    assert client.version("targets") == 3


def test_a_snapshot_that_forgets_a_role_is_refused(client, repository):
    repository.delegate("targets", "models", "models/*")
    repository.issue_all("models")
    client.init()
    assert client.refresh() == 0
    del repository.snapshot.meta["models.json"]
    repository.issue("snapshot", "timestamp")
    assert client.refresh() == 1
    assert client.version("snapshot") == 2


def test_a_timestamp_that_ran_ahead_falls_with_its_key(client, repository):
    client.init()
    repository.issue("timestamp", version=99_999)
    assert client.refresh() == 0
    repository.rotate("timestamp")
    repository.issue("root")
    repository.issue("timestamp", version=1)
    assert client.refresh() == 0
    assert client.version("timestamp") == 1


def test_a_snapshot_that_ran_ahead_falls_with_its_and_the_timestamps_key(client, repository):
    client.init()
    repository.issue("snapshot", version=99_999)
    repository.issue("timestamp")
    assert client.refresh() == 0
    assert client.version("snapshot") == 99_999
    repository.rotate("snapshot")
    repository.rotate("timestamp")
    repository.issue("root")
    repository.issue("snapshot", version=1)
    repository.issue("timestamp", version=1)
    assert client.refresh() == 0
    assert client.version("snapshot") == 1


def test_targets_that_ran_ahead_fall_with_the_snapshots_key(client, repository):
    client.init()
    repository.issue("targets", version=99_999)
    repository.issue("snapshot", "timestamp")
    assert client.refresh() == 0
    assert client.version("targets") == 99_999
    repository.rotate("snapshot")
    repository.issue("root")
    repository.issue("targets", version=1)
    repository.issue("snapshot", "timestamp")
    assert client.refresh() == 0
    assert client.version("targets") == 1


def test_a_key_that_ran_ahead_does_not_fall_while_it_still_counts(client, repository):
    client.init()
    repository.issue("timestamp", version=99_999)
    assert client.refresh() == 0
    repository.give_key("timestamp")
    repository.issue("root")
    repository.issue("timestamp", version=1)
    assert client.refresh() == 1
    assert client.version("timestamp") == 99_999


def test_a_server_that_has_lost_its_newer_root_does_not_take_it_from_the_client(client, served, repository):
    client.init()
    repository.issue("root")
    assert client.refresh() == 0
    served.faults[".root.json"] = lambda handler, _: handler.send_error(404)
    assert client.refresh() == 0
    assert client.version("root") == 2


def test_a_snapshot_may_be_numbered_anew_under_a_new_timestamp_key(client, repository):
    client.init()
    repository.issue("snapshot", version=7)
    repository.issue("timestamp")
    assert client.refresh() == 0
    repository.rotate("timestamp")
    repository.issue("root")
    # the specification holds a snapshot's own number to the timestamp's word alone (5.4.3)
    repository.issue("snapshot", version=3)
    repository.issue("timestamp", version=1)
    assert client.refresh() == 0
    assert client.version("snapshot") == 3
