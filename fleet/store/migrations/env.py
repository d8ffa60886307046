"""Alembic's entry: runs the steps on the connection that `open_database` hands over; never opens its own."""

from __future__ import annotations

from alembic import context
from sqlmodel import SQLModel

from fleet.store import tables, tables_identity, tables_os, tables_people, tables_rollouts

assert tables.Device.metadata is SQLModel.metadata
assert tables_identity.Claim.metadata is tables_people.User.metadata is SQLModel.metadata
assert tables_rollouts.Rollout.metadata is tables_os.OsAction.metadata is SQLModel.metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
