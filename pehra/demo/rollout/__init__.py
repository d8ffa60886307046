"""`pehra demo --scenario rollout`: a good model goes to forty cameras, then a bad one that stops itself.

Open `story.py` first.
"""
