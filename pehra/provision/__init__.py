"""The laptop's end of the cable to a board.

Open `session.py` first: one question, its news, its answer. `guided.py` is the path that a technician is
led along, `aim_page.py` and `aim_terminal.py` show a live picture that is kept nowhere.
"""
