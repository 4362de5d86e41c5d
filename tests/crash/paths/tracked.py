"""An import by change tracking: what changed and what was deleted, told by tokens."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.crash.paths.names import DYNAMICS
from tests.crash.paths.path import SEEN, START, Backend, Path, Setting, ready, refused, spoil

TRACKED = f"""\
workflow: tracked-import
activities:
  contacts:
    type: crm_import
    account: dynamics
    object: contact
    index: {{by: tracking}}
    fields: [lastname, emailaddress1, birthdate]
    rejects: refused
    deleted: gone
  write:
    type: update_data
    into: recipient
    identify: {{contactid: crm_id}}
    set: {{crm_id: contactid, last_name: lastname, email: emailaddress1}}
  done: {{type: end}}
  gone:
    type: update_data
    into: recipient
    operation: delete
    identify: {{contactid: crm_id}}
    next: done
{refused("contactid")}"""


def tracked(setting: Setting) -> datetime:
    """After a first import with one refused record: records changed, one new, one deleted, the refused one mended, and
    another one that cannot be imported."""
    sandbox = setting.sandbox
    first = ready(setting)
    (leaving,) = sandbox.insert("contact", [{"lastname": "Leaving"}])
    setting.run(sandbox.advance(timedelta(minutes=3)))
    sandbox.change_contacts(9)
    sandbox.control("set_stamp", ids=[first], values={"birthdate": None})
    sandbox.control("delete", ids=[leaving])
    sandbox.insert("contact", [{"lastname": "New", "emailaddress1": "new@later.invalid"}])
    (second,) = sandbox.insert("contact", [{"lastname": "Refused", "emailaddress1": "refused@later.invalid"}])
    spoil(setting, second, START + timedelta(hours=1))
    return sandbox.advance(timedelta(minutes=3))


def tracked_import(backend: Backend) -> Path:
    """An import by change tracking whose rejects and deletions go on too."""
    return Path(
        name="dynamics-tracked",
        backend=backend,
        names=DYNAMICS,
        workflow="tracked-import",
        definition=TRACKED,
        prepare=tracked,
        people={"people: recipient": "select crm_id, last_name, email from recipient", **SEEN},
    )
