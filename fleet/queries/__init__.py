"""What API and console ask the database: functions of a session and values, no HTTP, no widgets.

One module a noun. They read only; `store/write.py` is the one place that writes.
"""
