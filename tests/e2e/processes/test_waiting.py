"""What a person who has to wait is told, and what a runner says for which there is no room at the database."""

from __future__ import annotations

import dataclasses
import os
import re
from typing import Any

from crosstie.db import open_database
from tests.databases import PostgresServer
from tests.e2e.processes.cutting import Gate, recipients
from tests.e2e.project import Project


def test_a_person_who_waits_is_told_for_what(project_on_both: Project) -> None:
    project = project_on_both
    project.sql(
        f"insert into {'crosstie_' if project.is_sqlite else 'crosstie.'}option (name, value) values ('NOTE', '')"
    )
    db = open_database(project.database)
    with project.started("option", "set", "NOTE", "after") as process:
        assert process.stderr is not None
        with db.transaction("load of something big") as transaction:
            transaction.execute("update crosstie.option set value = 'meanwhile' where name = 'NOTE'")
            told = process.stderr.readline()
            assert process.poll() is None
        _, err = process.communicate(timeout=60)
    db.close()

    assert process.returncode == 0, err
    who = f"process {os.getpid()}" if project.is_sqlite else r"process \d+ of the server"
    waits = "! Waiting for .* with “option NOTE is set”: it is busy with"
    assert re.match(rf"{waits} {who}: .*load of something big", told), told
    assert project.rows("select value from crosstie.option where name = 'NOTE'") == [("after",)]


def test_a_server_without_free_connections_is_said_and_the_run_is_gone_on_with(
    project_on_postgresql: Project, postgres: PostgresServer, gate: Gate, expected: list[tuple[Any, ...]]
) -> None:
    """A user who may have as many connections as there are stands for a server that has no more."""
    project = project_on_postgresql
    project.workflow(road="pages")
    role = project.database.rpartition("/")[2]
    postgres.run(f"create role {role} login password 'a-few' in role marketing")
    few = dataclasses.replace(
        project, database=project.database.replace(f"marketing:{postgres.password}", f"{role}:a-few")
    )

    def full() -> None:
        postgres.run(f"alter role {role} connection limit 0")
        postgres.run(
            "select pg_terminate_backend(a.pid, 60000) from pg_stat_activity a"
            f" where a.usename = '{role}' and a.pid not in (select pid from pg_locks where locktype = 'advisory')"
        )

    gate.at(1, "/describe", full)
    ended = few.crosstie("run", "contacts.yaml", expect=1)
    gate.wait()
    refused = few.crosstie("run", "contact-import", expect=1)
    postgres.run(f"alter role {role} connection limit -1")

    # What it had open was ended too: whichever of its threads meets that first.
    assert "the server takes no more connections" in ended.err
    assert "Raise max_connections on the server, or try later." in ended.err or "[57P01]" in ended.err
    assert "the server takes no more connections" in refused.err
    assert "Raise max_connections on the server, or try later." in refused.err
    assert "crosstie run contact-import goes on where it stopped" in ended.err
    assert project.count("recipient") == 0
    assert few.crosstie("run", "contact-import", "--json").json["resumed"] is True
    assert recipients(project) == expected
    postgres.run(f"drop owned by {role}", role)
    postgres.run(f"drop role {role}")


def test_a_statement_that_the_server_ends_is_said_and_the_run_is_gone_on_with(
    project_on_postgresql: Project, postgres: PostgresServer, expected: list[tuple[Any, ...]]
) -> None:
    project = project_on_postgresql
    file = project.workflow(road="pages")
    project.sql(
        "create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(0.1); return new; end'",
        "create trigger slow before insert on recipient for each row execute function slow()",
    )
    name = project.database.rpartition("/")[2]
    postgres.run(f'alter database "{name}" set statement_timeout = 2000')
    result = project.crosstie("run", file, expect=1)
    postgres.run(f'alter database "{name}" reset statement_timeout')
    project.sql("drop trigger slow on recipient")

    assert "activity “write”" in result.err
    assert "the server ended a statement that ran longer than it allows" in result.err
    assert "crosstie run contact-import goes on where it stopped" in result.err
    assert project.count("recipient") == 0
    assert project.crosstie("run", "contact-import", "--json").json["resumed"] is True
    assert recipients(project) == expected
