"""What reaches outside, or runs as a part of another workflow."""

from __future__ import annotations

from datetime import datetime

from tests.crash.paths.path import SEEN, Backend, Path, Setting, ready, refused

OUTSIDE = """\
workflow: reaching-outside
activities:
  visitors:
    type: file_load
    file: visitors*.csv
    columns: {code: text, name: text, score: integer}
    missing: empty
    afterwards: archive
    file_as: came_from
    rejects: refused
  counted:
    type: sql_code
    code: |
      update tally set executed = executed + 1, loaded = loaded + $(vars/@fileRows);
      insert into looked_up (crm_id, title) select code, came_from from $(inbound)
  graded: {type: sub_workflow, workflow: grading}
  handed-out: {type: file_extract, file: out/graded.csv, empty: skip}
  told:
    type: alert
    to: ann@example.com
    subject: "<%= vars.recCount %> rows"
    attach: true
    webhook: https://hooks.example.com/visits
    empty: skip
  write:
    type: update_data
    into: recipient
    identify: {code: crm_id}
    set: {crm_id: code, last_name: name, first_name: grade, score: score}
  done: {type: end}
"""

GRADING = """\
workflow: grading
activities:
  begin: {type: start, takes: {code: text, name: text, score: integer}}
  noted: {type: sql_code, code: "update tally set parts = parts + 1"}
  graded: {type: edit_schema, add: {grade: "case when score > 20 then 'A' else 'B' end"}}
  done: {type: end}
"""

_VISITORS = "code,name,score\n" + "".join(f"v{number},Visitor {number},{number}\n" for number in range(40))
_FILES = {"visitors-1.csv": _VISITORS, "visitors-2.csv": "code,name,score\nw1,Zoë,41\nw2,Ono,many\n", "kept.txt": ""}


def outside(setting: Setting) -> datetime:
    """Two files to load, one of them with a row that is refused."""
    ready(setting)
    setting.sql(
        "create table looked_up (crm_id varchar(18) primary key, title varchar(128))",
        "create table tally (executed integer, parts integer, loaded integer)",
        "insert into tally values (0, 0, 0)",
    )
    return setting.sandbox.now()


def reaching_outside(backend: Backend) -> Path:
    """Files loaded and moved, SQL code, a part of its own, a file written, messages to send."""
    return Path(
        name="files-and-messages",
        backend=backend,
        workflow="reaching-outside",
        definition=OUTSIDE + refused("code", "errorColumn"),
        parts=(GRADING,),
        files=_FILES,
        prepare=outside,
        people={
            "people: recipient": "select crm_id, last_name, first_name, score from recipient",
            "people: looked up": "select crm_id, title from looked_up",
            "people: tally": "select executed, parts, loaded from tally",
            **SEEN,
            "messages": "select kind, recipient, status, attachment from crosstie.outbox",
            "files known": "select activity, direction, name, row_count, status, to_name from crosstie.file",
        },
    )
