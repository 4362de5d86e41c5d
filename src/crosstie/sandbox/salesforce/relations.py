"""What hangs on a record: which children go with it into the recycle bin, and which keep it from being deleted.

Sources: `childRelationships` of a describe (cascadeDelete, restrictedDelete); the words of DELETE_FAILED as public
threads show them.
"""

import sqlite3
from collections.abc import Iterator

from crosstie.sandbox.salesforce.catalog import Catalog, SObject
from crosstie.sandbox.salesforce.errors import ApiError
from crosstie.sandbox.salesforce.schema import quoted

MOST_NAMED = 5
"""Children that a refusal names."""


def has_bound_children(sobject: SObject) -> bool:
    """Whether a record of the object can't always be deleted by itself."""
    return any(one["cascadeDelete"] or one.get("restrictedDelete") for one in sobject.raw["childRelationships"])


def going_along(
    connection: sqlite3.Connection, catalog: Catalog, sobject: SObject, record_id: str
) -> Iterator[tuple[SObject, str]]:
    """The living records that are deleted with a record, those below them included.

    Raises DELETE_FAILED when one that is not must be kept, for the record or for one that goes with it.
    """
    for relation in sobject.raw["childRelationships"]:
        child = catalog.object(relation["childSObject"])
        if child is None or child.field(relation["field"]) is None:
            continue
        if relation.get("restrictedDelete"):
            _refuse_with(connection, sobject, child, relation["field"], record_id)
        elif relation["cascadeDelete"]:
            for child_id in _children(connection, child, relation["field"], record_id, "Id"):
                yield child, child_id
                yield from going_along(connection, catalog, child, child_id)


def gone_along(
    connection: sqlite3.Connection, catalog: Catalog, sobject: SObject, record_id: str
) -> Iterator[tuple[SObject, str]]:
    """The records that were deleted with a record, in the same second, and come back with it."""
    for relation in sobject.raw["childRelationships"]:
        child = catalog.object(relation["childSObject"])
        if child is None or child.field(relation["field"]) is None or not relation["cascadeDelete"]:
            continue
        rows = connection.execute(
            f"SELECT c.Id FROM {quoted(child.table)} AS c"
            " JOIN sandbox_delete_log AS own ON own.object = ? AND own.id = c.Id"
            " JOIN sandbox_delete_log AS parent ON parent.object = ? AND parent.id = ?"
            f" WHERE c.{quoted(relation['field'])} = ? AND c.IsDeleted = 1 AND own.deleted_at = parent.deleted_at",
            (child.name, sobject.name, record_id, record_id),
        ).fetchall()
        for (child_id,) in rows:
            yield child, child_id
            yield from gone_along(connection, catalog, child, child_id)


def _refuse_with(
    connection: sqlite3.Connection, sobject: SObject, child: SObject, field_name: str, record_id: str
) -> None:
    shown = next((one for one in child.fields.values() if one.name_field and not one.is_compound), child.fields["id"])
    names = _children(connection, child, field_name, record_id, shown.name)
    if not names:
        return
    own = next((one.name for one in sobject.fields.values() if one.name_field), "Id")
    query = f"SELECT {quoted(own)} FROM {quoted(sobject.table)} WHERE Id = ?"
    (name,) = connection.execute(query, (record_id,)).fetchone()
    raise ApiError(
        400,
        "DELETE_FAILED",
        f"Your attempt to delete {name} could not be completed because it is associated with the following"
        f" {str(child.raw['labelPlural']).lower()}.: {', '.join(names[:MOST_NAMED])}\n",
        [],
    )


def _children(connection: sqlite3.Connection, child: SObject, field_name: str, record_id: str, shown: str) -> list[str]:
    alive = " AND IsDeleted = 0" if child.field("IsDeleted") else ""
    rows = connection.execute(
        f"SELECT {quoted(shown)} FROM {quoted(child.table)} WHERE {quoted(field_name)} = ?{alive} ORDER BY Id",
        (record_id,),
    )
    return [str(row[0]) for row in rows]
