"""The database: tables, migrations, and the one place where ingest writes.

Open `tables.py` first, then `write.py`. Nothing here knows MQTT or HTTP.
"""
