"""Every crash point: a process is killed before and after each of its commits and requests, and run again.

How to have a workflow enumerated (another activity, an export):

1. Write a `Path` (`paths/`): `prepare` brings a project and its org to where every point starts from, `workflow` is
   run there, `people` are the queries whose answers must come out the same. Where it writes to the CRM, `holds` says
   what the org holds of ours when it is through; every point starts from a copy of the org then.
2. Give it to `enumerate_points`' test (`test_every_point.py`), in `CANONICAL` for `make test` or in `MATRIX` for
   `make soak`.

How it works:

- A `Stage` (`stage.py`) prepares a path once, takes the database as the template of all points, and makes the runs that
  nobody interrupts: what they leave behind (`settled.py`) is what is expected. One of them is numbered (`dry run`).
- The `Conductor` (`conductor.py`) is the judge, outside the process that is killed: the sandbox brings every request
  before it, and the drivers in the process every commit (`drivers.py`: in sqlite3, psycopg and ADBC, below our code).
  It answers, or kills. During the dry run it also asks the database itself whether anything was committed that was not
  brought before it.
- Requests that write are not only points of a kill: their connection is cut too, before the work or so that the answer
  is lost, and the process goes on. What exports leave (`org.py`, `sent.py`) is compared by what records say, because
  their ids differ. Where nobody can say what became of rows, `doubt.py` judges.
- Processes are forks of one that has imported everything (`tests/forks.py`); each is a process of its own, ended by
  SIGKILL.
"""
