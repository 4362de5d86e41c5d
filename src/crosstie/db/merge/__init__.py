"""Writing a work table into a table of people's: compares first, writes only differences, refuses single rows."""

from crosstie.db.merge.keys import key_columns, numbered, same_key
from crosstie.db.merge.matching import Candidates, Fragment, Ordering, Pair, candidates, give_memory, joined, matched
from crosstie.db.merge.plan import Assignment, Carried, Companion, Fault, MergePlan, Operation, Resolution
from crosstie.db.merge.target import Target, TargetColumn, describe_target, work_target
from crosstie.db.merge.writing import Merge, Merged

__all__ = [
    "Assignment",
    "Candidates",
    "Carried",
    "Companion",
    "Fault",
    "Fragment",
    "Merge",
    "MergePlan",
    "Merged",
    "Operation",
    "Ordering",
    "Pair",
    "Resolution",
    "Target",
    "TargetColumn",
    "candidates",
    "describe_target",
    "give_memory",
    "joined",
    "key_columns",
    "matched",
    "numbered",
    "same_key",
    "work_target",
]
