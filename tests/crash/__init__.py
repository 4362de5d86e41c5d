"""Every crash point: a process is killed before and after each of its commits and requests, and run again.

How to have a workflow enumerated (another activity, an export):

1. Write a `Path` (`paths.py`): `prepare` brings a project and its org to where every point starts from, `workflow` is
   run there, `people` are the queries whose answers must come out the same, with `jobs` the number of bulk jobs that an
   uninterrupted run makes. `rewind` sets the org back to that start, where a run changes more than its clock.
2. Give it to `enumerate_points`' test (`test_every_point.py`), in `CANONICAL` for `make test` or in `MATRIX` for
   `make soak`.

How it works:

- A `Stage` (`stage.py`) prepares a path once, takes the database as the template of all points, and makes the runs that
  nobody interrupts: what they leave behind (`settled.py`) is what is expected. One of them is numbered (`dry run`).
- The `Conductor` (`conductor.py`) is the judge, outside the process that is killed: the sandbox brings every request
  before it, and the drivers in the process every commit (`drivers.py`: in sqlite3, psycopg and ADBC, below our code).
  It answers, or kills. During the dry run it also asks the database itself whether anything was committed that was not
  brought before it.
- Processes are forks of one that has imported everything (`forks.py`); each is a process of its own, ended by SIGKILL.
"""
