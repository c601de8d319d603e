"""Which files were ingested, and what came of them."""

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade():
    op.execute("""
        create table ops.ingest_runs (
            file_hash   text        not null,
            kind        text        not null,
            file_name   text        not null,
            verdict     text        not null check (verdict in ('accepted', 'refused')),
            status      text        not null check (status in ('sending', 'done')),
            why         text        not null,
            rows        bigint      not null,
            accepted    bigint      not null,
            known       bigint      not null,
            quarantined bigint      not null,
            anomalous   bigint      not null,
            anomalies   jsonb       not null,
            numbers     jsonb       not null,
            as_of       timestamptz not null,
            started     timestamptz not null,
            finished    timestamptz,
            primary key (file_hash, kind),
            constraint "every row is accepted, known or quarantined"
                check (verdict = 'refused' or accepted + known + quarantined = rows)
        )
    """)
    op.execute(
        "comment on table ops.ingest_runs is 'Files taken in by smartshelf ingest; written by it; "
        "as_of is simulated, started and finished are wall clock'"
    )
