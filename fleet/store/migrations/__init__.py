"""Steps that bring a database up to date; run by `open_database` at start."""
