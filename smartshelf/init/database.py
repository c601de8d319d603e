"""The database: roles, migrations, what is captured; and whether the tables are what the contracts say."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from psycopg2 import sql
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its class in lower case
from psycopg2.extensions import encrypt_password
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from smartshelf.contracts.render.connect import HEARTBEAT_TABLE, PUBLICATION
from smartshelf.contracts.render.postgres import TableColumn, differences
from smartshelf.contracts.tables import TABLES
from smartshelf.errors import SmartShelfError
from smartshelf.io import postgres
from smartshelf.settings import CHECKOUT, Settings

MIGRATIONS = CHECKOUT / "postgresql" / "migrations"

#: Role -> its attributes beside LOGIN. The owner is whoever made the cluster.
ROLES: dict[postgres.Role, str] = {"sink": "", "debezium": "replication", "analyst": "", "app": "", "runner": ""}

#: Read-only twice over: by its grants, and by default in every transaction. What Postgres grants to everybody goes;
#: a question that takes longer than a minute is a mistake and would slow down the store.
READ_ONLY = (
    "alter role smartshelf_analyst set default_transaction_read_only = on",
    "alter role smartshelf_analyst set statement_timeout = '60s'",
    "alter role smartshelf_analyst set idle_in_transaction_session_timeout = '10min'",
    "revoke execute on function lo_creat(int), lo_create(oid), lo_from_bytea(oid, bytea) from public",
)

#: Any number; two inits at once take turns.
_LOCK = 7_402_773


# --- roles ---------------------------------------------------------------------------------------


def ensure_roles(connection: Connection, config: Settings) -> list[str]:
    """Create the roles and give them the passwords of the settings; returns the roles that were touched.

    A role whose setting is empty gets no password: then only connections that need none can use it.
    """
    touched = []
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
        cursor.execute("select rolname, rolpassword from pg_authid")
        there: dict[str, str | None] = dict(cursor.fetchall())
        for role, attributes in ROLES.items():
            name = f"smartshelf_{role}"
            password = getattr(config, f"postgres_{role}_password").get_secret_value()
            if name not in there:
                cursor.execute(sql.SQL(f"create role {{}} login {attributes}").format(sql.Identifier(name)))
            elif not password or is_password(password, there[name]):
                continue
            if password:
                # Sent as its verifier: the server's log never sees the password itself.
                verifier = encrypt_password(password, name, connection, "scram-sha-256")
                cursor.execute(sql.SQL("alter role {} password %s").format(sql.Identifier(name)), (verifier,))
            touched.append(name)
        for statement in READ_ONLY:
            cursor.execute(statement)
        here = sql.Identifier(config.postgres_db)
        cursor.execute(sql.SQL("revoke temporary on database {} from public").format(here))
    return touched


def is_password(password: str, verifier: str | None) -> bool:
    """Whether a SCRAM-SHA-256 verifier of ``pg_authid`` belongs to this password."""
    if not verifier or not verifier.startswith("SCRAM-SHA-256$"):
        return False
    _, cost, keys = verifier.split("$")
    rounds, salt = cost.split(":")
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), b64decode(salt), int(rounds))
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    return hmac.compare_digest(stored, b64decode(keys.split(":")[0]))


# --- migrations ----------------------------------------------------------------------------------


def migrate(config: Settings, target: str = "head") -> tuple[str | None, str | None]:
    """Bring the database to ``target`` and return its version before and after.

    All missing migrations run in one transaction: when one fails, the old version stays. Raises SmartShelfError with
    the reason, also when the database is newer than this code.
    """
    alembic = alembic_config()
    engine = postgres.engine(config, "owner", "init", poolclass=NullPool)
    try:
        with engine.begin() as connection:
            connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            before = MigrationContext.configure(connection).get_current_revision()
            if target == "head" and before == ScriptDirectory.from_config(alembic).get_current_head():
                return before, before
            alembic.attributes["connection"] = connection
            command.upgrade(alembic, target)
            return before, MigrationContext.configure(connection).get_current_revision()
    except CommandError as unknown:
        raise SmartShelfError(
            "The database is of another version than this code",
            value=str(unknown),
            remedy="Use the code that wrote it, or start over with `smartshelf reset`.",
        ) from unknown
    except DBAPIError as failed:
        raise SmartShelfError(
            "A migration failed and was rolled back; the database is as it was", value=str(failed.orig).strip()
        ) from failed


def alembic_config() -> Config:
    """Alembic's configuration, without a file of its own: the database comes from the settings."""
    config = Config()
    # Alembic reads it as a template in which % is special.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


# --- capture -------------------------------------------------------------------------------------


def ensure_capture(connection: Connection) -> list[str]:
    """Publish exactly the tables that the contracts call sources (and the heartbeat); returns what was changed."""
    wanted = sorted([*(t.full_name for t in TABLES.values() if t.direction == "source"), HEARTBEAT_TABLE])
    changed = []
    with connection.cursor() as cursor:
        for table in wanted:
            cursor.execute("select relreplident from pg_class where oid = %s::regclass", (table,))
            if cursor.fetchone() != ("f",):
                # Deletes and updates then carry the whole old row.
                cursor.execute(sql.SQL("alter table {} replica identity full").format(postgres.identifier(table)))
                changed.append(table)
        cursor.execute("select 1 from pg_publication where pubname = %s", (PUBLICATION,))
        exists = cursor.fetchone() is not None
        cursor.execute(
            "select schemaname || '.' || tablename from pg_publication_tables where pubname = %s order by 1",
            (PUBLICATION,),
        )
        if not exists or [row[0] for row in cursor.fetchall()] != wanted:
            form = "alter publication {} set table {}" if exists else "create publication {} for table {}"
            tables = sql.SQL(", ").join(map(postgres.identifier, wanted))
            cursor.execute(sql.SQL(form).format(sql.Identifier(PUBLICATION), tables))
            changed.append(f"publication {PUBLICATION}")
    return changed


# --- contract check ------------------------------------------------------------------------------


def contract_differences(connection: Connection) -> list[str]:
    """How the real tables differ from their contracts, one sentence each; [] when they do not."""
    wrong = []
    with connection.cursor() as cursor:
        for table in TABLES.values():
            cursor.execute(
                """
                select a.attname, format_type(a.atttypid, a.atttypmod), not a.attnotnull
                from pg_attribute a
                where a.attrelid = to_regclass(%s) and a.attnum > 0 and not a.attisdropped order by a.attnum
                """,
                (table.full_name,),
            )
            found = [TableColumn(*row) for row in cursor.fetchall()]
            cursor.execute(
                """
                select a.attname
                from pg_index i
                cross join unnest(i.indkey::int[]) with ordinality as k(attnum, place)
                join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
                where i.indrelid = to_regclass(%s) and i.indisprimary order by k.place
                """,
                (table.full_name,),
            )
            wrong += differences(table, found, [row[0] for row in cursor.fetchall()])
    return wrong
