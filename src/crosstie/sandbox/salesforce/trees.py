"""sObject tree: records with their children, made in one call, all or nothing.

Source: "sObject Tree", REST API guide.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from crosstie.sandbox.http import Response
from crosstie.sandbox.salesforce.catalog import SObject
from crosstie.sandbox.salesforce.errors import ApiError, json_response
from crosstie.sandbox.salesforce.org import Call, Org
from crosstie.sandbox.salesforce.records import Records, Writer
from crosstie.sandbox.salesforce.rest import given_record, writer_of

MAX_RECORDS = 200
MAX_LEVELS = 5
MAX_KINDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One record of a tree: its values, and the records below it with the field that links them to it."""

    sobject: SObject
    reference_id: str
    values: dict[str, Any]
    below: tuple[tuple[str, "Leaf"], ...] = ()

    def all(self) -> Iterator["Leaf"]:
        """This record and all below it, parents first."""
        yield self
        for _, child in self.below:
            yield from child.all()

    def levels(self) -> int:
        """How deep the tree is from here."""
        return 1 + max((child.levels() for _, child in self.below), default=0)


class Trees:
    """The tree resource of one org."""

    def __init__(self, org: Org, records: Records) -> None:
        self._org = org
        self._records = records

    def create(self, call: Call) -> Response:
        """POST BASE/composite/tree/X: 201 with the id of each reference, or 400 with the errors of those at fault."""
        sobject = self._org.sobject(call.args["object"])
        listed = given_record(call).get("records")
        if not isinstance(listed, list) or not listed:
            raise ApiError(400, "JSON_PARSER_ERROR", "The request body must have a list of records")
        try:
            roots = [self._leaf(sobject, entry) for entry in listed]
            _check(roots)
        except RefusedTree as refusal:
            return _refusal([(refusal.reference_id, refusal.error)])
        self._org.count_parts(call.request, call.session, sum(1 for root in roots for _ in root.all()))
        made: dict[str, str] = {}
        errors: list[tuple[str, ApiError]] = []
        writer = writer_of(call, self._org)
        with self._org.database.writing() as connection:
            connection.execute("SAVEPOINT tree")
            for root in roots:
                self._insert(root, {}, writer, made, errors)
            if errors:
                connection.execute("ROLLBACK TO tree")
            connection.execute("RELEASE tree")
        if errors:
            return _refusal(errors)
        results = [{"referenceId": name, "id": record_id} for name, record_id in made.items()]
        return json_response({"hasErrors": False, "results": results}, status=201)

    def _insert(
        self, leaf: Leaf, link: dict[str, str], writer: Writer, made: dict[str, str], errors: list[tuple[str, ApiError]]
    ) -> None:
        try:
            record_id = self._records.insert(leaf.sobject, leaf.values | link, writer)
        except ApiError as error:
            errors.append((leaf.reference_id, error))
            return
        made[leaf.reference_id] = record_id
        for field_name, child in leaf.below:
            self._insert(child, {field_name: record_id}, writer, made, errors)

    def _leaf(self, sobject: SObject, entry: Any) -> Leaf:
        attributes = entry.get("attributes") if isinstance(entry, dict) else None
        if not isinstance(attributes, dict) or not attributes.get("referenceId"):
            raise RefusedTree("", "INVALID_INPUT", "Include a reference ID for each record in the request.")
        name = str(attributes["referenceId"])
        if str(attributes.get("type", "")).lower() != sobject.name.lower():
            raise RefusedTree(name, "INVALID_INPUT", f"The record's type must be {sobject.name} at this place.")
        values: dict[str, Any] = {}
        below: list[tuple[str, Leaf]] = []
        for key, value in entry.items():
            if not isinstance(value, dict) or "records" not in value:
                values[key] = value
                continue
            relation = sobject.child_relationship(key)
            child = self._org.catalog.object(relation.child_object) if relation is not None else None
            if relation is None or child is None:
                message = f"No such child relationship '{key}' on sobject of type {sobject.name}"
                raise RefusedTree(name, "INVALID_FIELD", message)
            below += [(relation.field, self._leaf(child, each)) for each in value["records"]]
        return Leaf(sobject=sobject, reference_id=name, values=values, below=tuple(below))


class RefusedTree(Exception):
    """A tree of the wrong form: nothing is tried."""

    def __init__(self, reference_id: str, code: str, message: str) -> None:
        super().__init__(message)
        self.reference_id = reference_id
        self.error = ApiError(400, code, message)


def _check(roots: list[Leaf]) -> None:
    leaves = [leaf for root in roots for leaf in root.all()]
    names = [leaf.reference_id for leaf in leaves]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise RefusedTree(double, "INVALID_INPUT", "Duplicate ReferenceId provided in the request.")
    if len(leaves) > MAX_RECORDS:
        message = f"record limit reached. cannot submit more than {MAX_RECORDS} records into this call"
        raise RefusedTree(names[MAX_RECORDS], "EXCEEDED_ID_LIMIT", message)
    if max(root.levels() for root in roots) > MAX_LEVELS:
        raise RefusedTree(names[0], "INVALID_INPUT", f"Trees can't be deeper than {MAX_LEVELS} levels.")
    if len({leaf.sobject.name for leaf in leaves}) > MAX_KINDS:
        raise RefusedTree(names[0], "INVALID_INPUT", f"Trees can't have records of more than {MAX_KINDS} types.")


def _refusal(errors: list[tuple[str, ApiError]]) -> Response:
    results = [{"referenceId": name, "errors": [error.row_entry()]} for name, error in errors]
    return json_response({"hasErrors": True, "results": results}, status=400)
