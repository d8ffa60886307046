"""What crosses the air: messages and topics, releases and the trust in them.

Open `messages/topics.py` first, then `messages/structs.py`: they do no I/O. A device's side of releases is
`trust/` (what it believes, how it downloads), the operator's is `images/` (signing, publishing).
"""
