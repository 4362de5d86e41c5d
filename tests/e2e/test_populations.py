"""Links, queries and lists through the command line, and incremental queries over whole runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crosstie import App
from crosstie.errors import ConfigError, DefinitionError, TaskError
from tests.databases import PostgresServer
from tests.e2e.project import Project

TABLES = (
    "create table firm (code varchar(9) primary key, name varchar(40))",
    "create table customer (id bigint primary key, email varchar(80), score bigint, firm varchar(9))",
    "create table bill (id bigint primary key, customer_id bigint references customer (id), amount bigint)",
    "insert into firm values ('a', 'Acme'), ('b', 'Bolt')",
    "insert into customer values (1, 'ann', 40, 'a'), (2, 'bob', 5, 'b'), (3, 'cid', 90, 'a')",
    "insert into bill values (1, 1, 100), (2, 1, 20), (3, 2, 500)",
    "create table reached (id bigint primary key, email varchar(80))",
)
WORKFLOW = """\
workflow: reach
activities:
  good:
    type: incremental_query
    from: customer
    where: score > $(vars/@least) and firm.name = 'Acme'
    add: [email, firm.name]
  keep: {type: list_update, list: good-ones, operation: add}
  reach: {type: update_data, into: reached, operation: insert, set: {id: id, email: email}}
  done: {type: end}
"""
FIXED = WORKFLOW.replace("$(vars/@least)", "10")


@pytest.fixture(params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Project]:
    """A project with some tables and no CRM, on each database in turn."""
    url = f"sqlite:///{tmp_path / 'shop' / 'marketing.db'}"
    server: PostgresServer | None = None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        assert server is not None
        url = server.create_database("shop")
    folder = tmp_path / "shop"
    folder.mkdir()
    project = Project(folder=folder, database=url)
    project.crosstie("init")
    project.sql(*TABLES)
    toml = folder / "crosstie.toml"
    declared = '\n[[link]]\nfrom = "customer.firm"\nto = "firm.code"\nback = "customers"\n'
    toml.write_text(toml.read_text("utf-8") + declared, "utf-8")
    yield project
    if server is not None:
        server.drop_database("shop")


def test_links_are_shown_and_queries_looked_at(shop: Project) -> None:
    found = {(one["table"], one["link"]): one for one in shop.crosstie("links", "--json").json}
    assert set(found) == {("customer", "firm"), ("firm", "customers"), ("bill", "customer"), ("customer", "bill")}
    assert found["customer", "firm"]["origin"] == "declared"

    file = shop.write("reach.yaml", WORKFLOW)
    shown = shop.crosstie("query", "preview", file, "good", "--var", "least=10").out
    statement, _, values = shown.partition("\n  :")
    assert "left join" in statement
    assert "Acme" not in statement
    assert " = 10" in values
    assert "Acme" in values
    assert shop.crosstie("query", "count", file, "good", "--var", "least=10").out == "2 rows\n"
    assert "No columns" not in shop.crosstie("lists", "list").out


def test_what_is_not_there_is_said_with_the_way_out(shop: Project) -> None:
    file = shop.folder / shop.write("reach.yaml", WORKFLOW)
    with App.open(shop.folder, database=shop.database) as app:
        with pytest.raises(ConfigError, match=r"Did you mean customer\?"):
            app.schemas.links("custmer")
        with pytest.raises(ConfigError, match=r"Did you mean good\?"):
            app.queries.count(file, "god")
        with pytest.raises(ConfigError, match="least"):
            app.queries.count(file, "good")
        with pytest.raises(ConfigError, match="There is no list x"):
            app.lists.get("x")
        assert app.queries.count(file, "good", {"least": 50}) == 1


def reached(app: App) -> list[int]:
    with app.db.reading() as transaction:
        return [int(row[0]) for row in transaction.rows("select id from reached order by id")]


def test_what_was_put_out_comes_again_only_when_its_run_did_not_end_well(shop: Project) -> None:
    broken = FIXED.replace("  reach: {", "  broken: {type: javascript, code: \"logError('no')\"}\n  reach: {")
    with App.open(shop.folder, database=shop.database) as app:
        with pytest.raises(TaskError, match="ended itself"):
            app.workflows.run(shop.folder / shop.write("reach.yaml", broken))
        assert app.queries.count("reach", "good") == 0
        app.workflows.apply(shop.folder / shop.write("reach.yaml", FIXED))
        assert app.workflows.run("reach", restart=True).counts["good"] == {"new": 2}
        assert reached(app) == [1, 3]

        shop.sql("insert into customer values (4, 'dee', 11, 'a'), (5, 'eve', 99, 'b')")
        assert app.queries.count("reach", "good") == 1
        app.workflows.run("reach")
        assert reached(app) == [1, 3, 4]
        assert app.workflows.run("reach").counts == {"good": {"new": 0}}


def test_a_list_outlives_the_runs_that_made_it(shop: Project) -> None:
    with App.open(shop.folder, database=shop.database) as app:
        app.workflows.run(shop.folder / shop.write("reach.yaml", FIXED))
        for _ in range(2):
            app.workflows.run("reach")
        (listed,) = app.lists.list()
        assert (listed.name, listed.table.rows, listed.table.dimension) == ("good-ones", 2, "customer")

        between = FIXED[FIXED.index("  good:") : FIXED.index("  reach:")]
        reading = FIXED.replace("workflow: reach", "workflow: again").replace(
            between, "  good: {type: read_list, list: good-ones}\n"
        )
        shop.sql("delete from reached")
        app.workflows.run(shop.folder / shop.write("again.yaml", reading))
        assert reached(app) == [1, 3]

        app.lists.drop("good-ones")
        assert app.lists.list() == ()
        with pytest.raises(DefinitionError, match="made by list_update"):
            app.workflows.run("again")
