"""What is enumerated: workflows with the project and the org from which every point of theirs starts."""

from __future__ import annotations

from dataclasses import replace

from tests.crash.paths.exports import INSERTS_BY, KEYED_BY, codes_and_deletions, known_and_new, opaque_inserts
from tests.crash.paths.groups import groups, user_keys
from tests.crash.paths.guids import WRITTEN_BY, alternate_keys, chosen_keys
from tests.crash.paths.imports import contact_import, import_in_part, scripted_import, watched_import
from tests.crash.paths.names import DYNAMICS
from tests.crash.paths.outside import reaching_outside
from tests.crash.paths.path import ACCOUNT, BACKENDS, Path, Setting
from tests.crash.paths.tracked import tracked_import

__all__ = ["ACCOUNT", "BY_CHILD", "CANONICAL", "CONTACTS", "MATRIX", "Path", "Setting"]

CONTACTS = 150
"""The contacts of the org before a path is prepared."""

CANONICAL = (
    *(contact_import(backend, "bulk", "incremental") for backend in BACKENDS),
    replace(scripted_import("sqlite"), once=True),
    replace(reaching_outside("sqlite"), once=True),
    replace(import_in_part("sqlite"), once=True),
    known_and_new("sqlite", "auto", near=9),
    codes_and_deletions("postgresql", "off", near=3),
    replace(contact_import("sqlite", "pages", "incremental", names=DYNAMICS), once=True),
    chosen_keys("postgresql", near=1),
    groups("sqlite", updates=0, inserts=2, deletions=0, near=1),
)
"""The path with the most machinery: both roads (what was refused is asked for again by pages), a job, a window with a
tail, late rows, a reject mended and a new one, at every point on both databases; every state of the other reference
workflows that send nothing to the CRM, and of what reaches outside or runs as a part of another one, on SQLite; and
of exports each operation once: inserts by a bulk job and updates by a call on SQLite, upserts and deletions by
calls on PostgreSQL. Of Dynamics every state of the same import by pages on SQLite, and an export whose records bear
keys of the plan on PostgreSQL. Of Oracle CRM On Demand inserts on SQLite, a group that is refused and leaves again in
parts."""

MATRIX = (
    tuple(
        contact_import(backend, road, kind)
        for backend in BACKENDS
        for road in ("bulk", "pages")
        for kind in ("incremental", "first")
    )
    + tuple(
        made(backend)
        for made in (watched_import, scripted_import, reaching_outside, import_in_part)
        for backend in BACKENDS
    )
    + tuple(known_and_new(backend, batches) for batches in INSERTS_BY for backend in BACKENDS)
    + tuple(codes_and_deletions(backend, batches) for batches in KEYED_BY for backend in BACKENDS)
    + tuple(opaque_inserts(backend) for backend in BACKENDS)
    + tuple(
        contact_import(backend, "pages", kind, names=DYNAMICS)
        for backend in BACKENDS
        for kind in ("incremental", "first")
    )
    + tuple(tracked_import(backend) for backend in BACKENDS)
    + tuple(chosen_keys(backend, road, refused=spoilt) for backend in BACKENDS for road, spoilt in WRITTEN_BY)
    + tuple(alternate_keys(backend) for backend in BACKENDS)
    + tuple(made(backend) for made in (groups, user_keys) for backend in BACKENDS)
)
"""Every database, road and kind of import of either CRM, an import whose population is calculated or left, what reaches
outside, an import in a part of its workflow; and every operation of an export by every road that it can take, groups
among them."""

BY_CHILD = contact_import("sqlite", "bulk", "first", by_child=True)
