"""People: who they are, what they may do and where, and the log of what they did.

Open `roles.py` (the table of roles), then `caller.py` (who asks, and what that one may do), `login.py` (how
one gets in), `audit.py` (the log that cannot be changed unnoticed). Nothing here knows HTTP or widgets.
"""
