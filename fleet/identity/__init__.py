"""Who a device is: the fleet's authorities, claims, certificates, and their end.

Open `enrolment.py` first: a ticket comes in, a certificate goes out. `authority.py` signs, `home.py` keeps
keys and certificates on disk, `claims.py` says who may enrol, `revocation.py` ends what was given.
"""
