"""`pehra device check`: whether this device can do its work, and what to do where it cannot.

Open `checks.py` first: the list. Each check is a module that looks and tells `Finding`s; `run.py` gives each
its deadline, so that none can hang the others. Nothing here changes a setting or sends a picture anywhere.
"""

from device.check.checks import checks_of
from device.check.finding import Finding
from device.check.run import Check, run_checks

__all__ = ["Check", "Finding", "checks_of", "run_checks"]
