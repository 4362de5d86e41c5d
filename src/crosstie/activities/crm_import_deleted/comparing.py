"""Deletions that no feed tells of any more: what is tied here and the CRM no longer has.

The ids of all its records are read first, the ties after that, and what seems to be gone is asked for by id: a record
that came meanwhile is there. What this user may not see looks like what was deleted for good; hence the brake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crosstie.activities.crm_import_deleted.reading import Reader
from crosstie.activities.receiving.asides import ID, Aside, drop_living
from crosstie.activities.remote import collected_object, find_remote_field
from crosstie.crm import kind_of
from crosstie.crm.connector import Connector, RemoteQuery
from crosstie.errors import BrakeError
from crosstie.model import RemoteObject
from crosstie.sync.ties import tie_tables
from crosstie.workflow.activity import Context, Done, Shape

if TYPE_CHECKING:
    from crosstie.activities.crm_import_deleted import CrmImportDeleted

_FEW = 100
"""So many records may be gone whatever their share."""


def compare_keys(activity: CrmImportDeleted, context: Context) -> Done:
    """Finds the tied records that are gone. Raises BrakeError when they are too many, and the errors of the connector
    and the database."""
    connector = context.connector(activity.account)
    remote = collected_object(context.site, activity.account, activity.object)
    shape = activity.shape(remote, context.site, org=connector.org_id())
    reader = Reader(context=context, connector=connector, remote=remote, shape=shape)
    tied, gone = _find_gone(context, connector, remote, shape)
    if gone > max(_FEW, tied * activity.brake / 100):
        raise BrakeError(
            f"{gone:,} of {tied:,} tied {remote.name} records are no longer shown by the CRM: more than the"
            f" {activity.brake} % that “brake” lets through.",
            hint="Nothing was put out. Look whether this user still sees all records (permissions, sharing). If they"
            " really were deleted, write “brake: 100” and run it again.",
        )
    if gone:
        _tell_when(reader)
    return reader.done()


def _find_gone(context: Context, connector: Connector, remote: RemoteObject, shape: Shape) -> tuple[int, int]:
    """How many records are tied, and how many of them are gone; their ids are the table `gone`."""
    db, gone, present = context.db, _gone(context), context.private_name("present")
    db.create_work(gone, (ID,))
    assert shape.lineage is not None
    with db.reading() as transaction:
        tables = tie_tables(transaction, shape.lineage)
    if not tables:
        context.log.info(f"Nothing is tied to {remote.name} records of this org: there is nothing to compare.")
        return 0, 0
    field = find_remote_field(remote, remote.key, shape.lineage.account, context.site)
    aside = Aside(context=context, connector=connector, fields=(field,), columns=(ID,))
    there = aside.into(present, iter([RemoteQuery(object=remote, fields=(remote.key,))]))
    db.prepare(present, [ID.name])
    tied = " union ".join(f"select remote_id from crosstie.{one} where tombstone is null" for one in tables)
    with db.transaction("tied records that are gone") as transaction:
        transaction.execute(
            f"insert into crosstie.{gone} ({ID.name}) select t.remote_id from ({tied}) t where not exists"
            f" (select 1 from crosstie.{present} p where p.{ID.name} = t.remote_id)"
        )
        row = transaction.row(f"select count(*), (select count(*) from ({tied}) t) from crosstie.{gone}") or (0, 0)
    missing, known = int(row[0]), int(row[1])
    back = drop_living(context, connector, remote, gone, ID.name) if missing else 0
    context.log.info(
        f"{there:,} {remote.name} records on the CRM, {known:,} tied here; {missing - back:,} of these are gone there"
    )
    return known, missing - back


def _tell_when(reader: Reader) -> None:
    """Puts beside the ids when they were deleted and what they were merged into, as far as the CRM tells."""
    context, connector, remote = reader.context, reader.connector, reader.remote
    db, table = context.db, context.private_name()
    db.create_work(table, reader.columns)
    key, at, merged = (db.quote(one.name) for one in reader.columns)
    rows = f"({key}) select g.{ID.name} from crosstie.{_gone(context)} g"
    if kind_of(connector.kind).keeps_deletions(remote):
        reader.load(connector.deleted(remote, None, connector.server_time()))
        rows = (
            f"({key}, {at}, {merged}) select g.{ID.name}, d.{at}, d.{merged} from crosstie.{_gone(context)} g"
            f" left join crosstie.{reader.table} d on d.{key} = g.{ID.name}"
        )
    with db.transaction("deletions found by comparison") as transaction:
        found = transaction.execute(f"insert into crosstie.{table} {rows}")
    reader.table = table
    silent = found - reader.rows(at)
    if silent:
        context.log.info(
            f"When {silent:,} of them were deleted the CRM does not tell: long ago, or this user may not see them."
        )


def _gone(context: Context) -> str:
    return context.private_name("gone")
