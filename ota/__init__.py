"""What crosses the air: messages and topics now; releases, trust and slots later.

Open `ota/messages/topics.py` first, then `ota/messages/structs.py`. Nothing here does I/O.
"""
