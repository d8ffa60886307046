"""Scripted streets with ground truth: each shows what a rule must tell, and what it must not.

Open `catalogue.py` first for what there is, then one scenario, such as `loiter.py`; `trial.py` runs one on
the device's own road and `judging.py` compares what was told with what was due. docs/scenarios.md tells how
to write another.
"""
