"""Night: the crossing scenario by lamps and headlights; events are found, and no alarm is raised."""

from __future__ import annotations

from pehra.demo.scenarios.crossing import crossing
from pehra.demo.scenarios.script import Scenario


def night(seed: int) -> Scenario:
    """As `crossing`, by night; an alarm of the view (`dark`, `covered`) would be false."""
    return crossing(seed, night=True)
