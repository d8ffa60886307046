"""The device's updater: from a document that wants a release to what runs, or to the reason why not.

Open `course.py` first (what is done next, as a function of values: the power-cut table of UPDATES.md), then
`journal.py` (the states), `engine.py` (does it), `kind.py` (what a kind of release, a model or the firmware,
must be able to do), `admission.py` (what is installed at all) and `probation.py` (what stays).
"""
