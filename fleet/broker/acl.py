"""Who may say and hear what on the broker. Pure; both brokers are tested against it.

A client's user name is a device id, or `fleet`. A device writes its own channels and hears what the
fleet writes to it; the fleet hears all devices and writes the fleet's channels; nobody else anything.
"""

from __future__ import annotations

from typing import Final

from ota.errors import BadTopic
from ota.messages import ROOT, Channel, Topic
from ota.messages.topics import FROM_FLEET

FLEET: Final = "fleet"
"""The fleet's user name; who logs in with it is the fleet, so a device of this id could say nothing."""
FROM_DEVICE: Final = tuple(channel for channel in Channel if channel not in FROM_FLEET)


def may_write(user: str, topic_text: str) -> bool:
    """Whether a user may publish on a topic (its will's topic as well)."""
    try:
        topic = Topic.parse(topic_text)
    except BadTopic:
        return False
    if user == FLEET:
        return topic.channel in FROM_FLEET
    return topic.device == user and topic.channel not in FROM_FLEET


def may_hear(user: str, topic_text: str) -> bool:
    """Whether a message on a topic may be handed to a user."""
    if user == FLEET:
        return topic_text.startswith(ROOT + "/")
    try:
        topic = Topic.parse(topic_text)
    except BadTopic:
        return False
    return topic.device == user and topic.channel in FROM_FLEET


def may_subscribe(user: str, topic_filter: str) -> bool:
    """Whether a user may subscribe to a filter; a device only to filters of its own three channels."""
    if user == FLEET:
        return topic_filter.startswith(ROOT + "/")
    try:
        own = {Topic.filter(channel, user) for channel in FROM_FLEET}
    except BadTopic:
        return False
    return topic_filter in own or may_hear(user, topic_filter)
