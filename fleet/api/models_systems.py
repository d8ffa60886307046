"""What the API takes and answers about OS images."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from fleet.api.models import Moment, as_moment
from fleet.hawkbit.releases import FILE_PATTERN, NewImage
from fleet.hawkbit.show import SystemShown
from fleet.queries.paging import Storable
from fleet.rollouts.releases import NAME_PATTERN, VERSION_PATTERN

Board = Annotated[Storable, Field(max_length=100, examples=["raspberry-pi-4"])]


class ImageIn(BaseModel):
    """What is told of an image; its bytes are the body."""

    name: Annotated[str, Field(pattern=f"^{NAME_PATTERN}$", examples=["camera-os"])]
    version: Annotated[str, Field(pattern=f"^{VERSION_PATTERN}$", examples=["1.2.0"])]
    file: Annotated[
        str,
        Field(pattern=f"^{FILE_PATTERN}$", examples=["camera-os-1.2.0.swu"], description="as devices see it"),
    ]
    hw: Annotated[list[Board], Field(max_length=32, description="boards that it is for; any without")] = []
    sec_ver: Annotated[int, Field(ge=0, lt=2**31)] = 0

    def new(self) -> NewImage:
        """Return what `keep_image` takes."""
        return NewImage(self.name, self.version, self.file, tuple(self.hw), self.sec_ver)


class SystemTokenOut(BaseModel):
    """A token; it is in this answer and nowhere else."""

    device: str
    token: Annotated[str, Field(description="`Authorization: TargetToken ...`")]


class SystemActionOut(BaseModel):
    """Something that a device was told to install."""

    number: Annotated[int, Field(description="as the device knows it")]
    action: Annotated[str, Field(description="as the rollout knows it")]
    release: Annotated[str, Field(examples=["camera-os@1.2.0"])]
    state: Annotated[
        str,
        Field(description="`open`, `cancelling`, `refused`, `succeeded`, `failed`, `cancelled`, `withdrawn`"),
    ]
    said: Annotated[str, Field(description="the device's last word on it")]
    changed: Moment


class SystemOut(BaseModel):
    """What is known of a device's operating system."""

    attributes: dict[str, str]
    said: Moment | None
    token_made: Moment | None
    actions: list[SystemActionOut]

    @classmethod
    def shown(cls, found: SystemShown) -> SystemOut:
        """Return the answer."""
        actions = [
            SystemActionOut(
                number=action.id or 0,
                action=action.action,
                release=f"{release.name}@{release.version}",
                state=action.state,
                said=action.said,
                changed=as_moment(action.changed_ms),
            )
            for action, release in found.actions
        ]
        return cls(
            attributes=found.attributes,
            said=_moment(found.said_ms),
            token_made=_moment(found.token_ms),
            actions=actions,
        )


def _moment(ms: int | None) -> str | None:
    return None if ms is None else as_moment(ms)
