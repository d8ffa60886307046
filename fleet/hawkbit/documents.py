"""The answers of hawkBit's device API, as its clients read them; pure.

Names and shapes are hawkBit's ("Direct Device Integration API"). Clients take the addresses as they are.
"""

from __future__ import annotations

import zlib
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from fleet.store.tables_os import OsAction, OsImage
from fleet.store.tables_rollouts import Release

PART: Final = "os"
Href = Annotated[str, Field(examples=["https://fleet.example.org/default/controller/v1/cam-01/configData"])]


class _Ddi(BaseModel):
    model_config = ConfigDict(populate_by_name=True)


class Link(_Ddi):
    """Where to go on."""

    href: Href


class Polling(_Ddi):
    """When to come again."""

    sleep: Annotated[str, Field(examples=["00:05:00"], description="hours, minutes, seconds")]


class PollConfig(_Ddi):
    """What a client is told of itself."""

    polling: Polling


class PollLinks(_Ddi):
    """What there is to do; what there is not is left out."""

    deployment_base: Annotated[Link | None, Field(alias="deploymentBase")] = None
    cancel_action: Annotated[Link | None, Field(alias="cancelAction")] = None
    config_data: Annotated[Link | None, Field(alias="configData")] = None
    installed_base: Annotated[Link | None, Field(alias="installedBase")] = None


class PollAnswer(_Ddi):
    """The answer to a poll."""

    config: PollConfig
    links: Annotated[PollLinks, Field(alias="_links")]


class Hashes(_Ddi):
    """Digests of an artifact, hexadecimal."""

    sha1: str
    md5: str
    sha256: str


class ArtifactLinks(_Ddi):
    """Where an artifact is; over HTTPS or over HTTP."""

    download: Link | None = None
    md5sum: Link | None = None
    download_http: Annotated[Link | None, Field(alias="download-http")] = None
    md5sum_http: Annotated[Link | None, Field(alias="md5sum-http")] = None


class Artifact(_Ddi):
    """One file."""

    filename: str
    hashes: Hashes
    size: int
    links: Annotated[ArtifactLinks, Field(alias="_links")]


class Chunk(_Ddi):
    """What is installed."""

    part: str
    name: str
    version: str
    artifacts: list[Artifact]


class Deployment(_Ddi):
    """How it is installed."""

    download: str
    update: str
    maintenance_window: Annotated[str | None, Field(alias="maintenanceWindow")] = None
    chunks: list[Chunk]


class DeploymentAnswer(_Ddi):
    """One action."""

    id: str
    deployment: Deployment


class CancelTarget(_Ddi):
    """Which action is to stop."""

    stop_id: Annotated[str, Field(alias="stopId")]


class CancelAnswer(_Ddi):
    """A wish to cancel."""

    id: str
    cancel_action: Annotated[CancelTarget, Field(alias="cancelAction")]


def sleep_text(poll_s: int) -> str:
    """Return an interval as clients read it."""
    return f"{poll_s // 3600:02}:{poll_s // 60 % 60:02}:{poll_s % 60:02}"


def poll_answer(
    base: str,
    poll_s: int,
    *,
    order: OsAction | None,
    cancel: OsAction | None,
    installed: OsAction | None,
    wants_attributes: bool,
) -> PollAnswer:
    """Return the answer to a poll; who is to let go of an action is told nothing else to do.

    Args:
        base: address of the device, without a slash at the end.
        poll_s: when it is to come again.
        order: what it is to install.
        cancel: what it is to let go.
        installed: what it has installed last.
        wants_attributes: it has not said what it is.
    """
    links = PollLinks()
    if cancel is not None:
        links.cancel_action = Link(href=f"{base}/cancelAction/{cancel.id}")
    elif order is not None:
        mark = zlib.crc32(order.action.encode())
        links.deployment_base = Link(href=f"{base}/deploymentBase/{order.id}?c={mark}")
    if installed is not None:
        links.installed_base = Link(href=f"{base}/installedBase/{installed.id}")
    if wants_attributes:
        links.config_data = Link(href=f"{base}/configData")
    return PollAnswer(config=PollConfig(polling=Polling(sleep=sleep_text(poll_s))), links=links)


def deployment_answer(
    base: str, action: OsAction, release: Release, image: OsImage, *, is_open: bool | None
) -> DeploymentAnswer:
    """Return what a device is to install.

    Args:
        base: address of the device.
        action: of which the number is told.
        release: name and version.
        image: file and digests.
        is_open: its maintenance window; None for any time.
    """
    deployment = Deployment(
        download="forced",
        update="forced",
        chunks=[Chunk(part=PART, name=release.name, version=release.version, artifacts=[])],
    )
    if is_open is not None:
        deployment.maintenance_window = "available" if is_open else "unavailable"
    address = f"{base}/softwaremodules/{action.id}/artifacts/{image.file}"
    deployment.chunks[0].artifacts.append(_artifact(address, image))
    return DeploymentAnswer(id=str(action.id), deployment=deployment)


def cancel_answer(action: OsAction) -> CancelAnswer:
    """Return which action is to stop; the wish has the number of the action itself, as with hawkBit."""
    return CancelAnswer(id=str(action.id), cancel_action=CancelTarget(stop_id=str(action.id)))


def _artifact(address: str, image: OsImage) -> Artifact:
    link, sums = Link(href=address), Link(href=f"{address}.MD5SUM")
    links = (
        ArtifactLinks(download=link, md5sum=sums)
        if address.startswith("https:")
        else ArtifactLinks(download_http=link, md5sum_http=sums)
    )
    return Artifact(
        filename=image.file,
        hashes=Hashes(sha1=image.sha1, md5=image.md5, sha256=image.sha256),
        size=image.length,
        links=links,
    )
