"""How a run begins: as the unfinished one that is gone on with, anew, or with what another one has planned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crosstie.db.database import Transaction
from crosstie.errors import BrakeError, ConfigError
from crosstie.sync import deliveries, plans
from crosstie.workflow import instances, state
from crosstie.workflow.activity import Scalar
from crosstie.workflow.definition import Definition
from crosstie.workflow.instances import WorkflowStatus
from crosstie.workflow.passage import Surroundings
from crosstie.workflow.state import Run, RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class RunKind:
    """What a run is for. `simulated`: nothing that acts on more than work tables is executed, nor what follows it.
    `planning`: the same, but what would be sent to CRMs is kept as a plan. `from_plan`: the number of such a run, whose
    plan is carried out."""

    simulated: bool = False
    planning: bool = False
    from_plan: int = 0

    def fits(self, run: Run) -> bool:
        """Whether an unfinished run is of this kind."""
        return (run.simulated, run.planning) == (self.simulated or self.planning, self.planning)


ORDINARY = RunKind()


def begin(
    around: Surroundings,
    definition: Definition,
    version: int,
    restart: bool,
    kind: RunKind,
    variables: Mapping[str, Scalar],
) -> tuple[int, bool]:
    """The workflow's unfinished run, or a new one; whether it was there. A new one begins with no variables of the
    workflow's own, unless `serve` has it started too; one that carries a plan out begins where that was made."""
    now = around.clock.now()
    with around.db.transaction(f"run {definition.name} begins") as transaction:
        unfinished = state.unfinished_run(transaction, definition.name)
        if unfinished is not None:
            if not (restart or kind.from_plan) and kind.fits(unfinished):
                return unfinished.id, True
            if not restart and (kind.planning or kind.from_plan) and not unfinished.simulated:
                raise BrakeError(
                    f"Run {unfinished.id} of {definition.name} is unfinished ({unfinished.status}).",
                    hint=f"Finish it first: crosstie run {definition.name}. Or give it up: say --restart too.",
                )
        if kind.from_plan:
            _refuse_plan(transaction, definition.name, version, kind.from_plan)
        if unfinished is not None:
            state.stop_run(transaction, unfinished.id, now, RunStatus.ABANDONED, "restarted")
        instance = instances.find_instance(transaction, definition.name)
        if instance is not None and instance.status is not WorkflowStatus.STARTED:
            instances.keep_vars(transaction, definition.name, {})
            deliveries.begin_anew(transaction, definition.name)
        run = state.begin_run(
            transaction,
            definition.name,
            version,
            now,
            initial=() if kind.from_plan else definition.initial(),
            variables=variables,
            simulated=kind.simulated or kind.planning,
            planning=kind.planning,
        )
        if kind.from_plan:
            _take_over_plan(transaction, kind.from_plan, run)
    return run, False


def _refuse_plan(transaction: Transaction, workflow: str, version: int, shown_in: int) -> None:
    """Raises ConfigError for a plan that cannot be carried out exactly."""
    anew = f"Make a new one: crosstie run {workflow} --plan"
    by = plans.carried_out_by(transaction, shown_in)
    if by is not None:
        raise ConfigError(
            f"Plan {shown_in} is carried out by run {by} already.",
            hint=f"What became of it: crosstie journal show {by}",
        )
    planned = state.find_run(transaction, shown_in)
    if planned is None or not planned.planning or planned.workflow != workflow:
        raise ConfigError(
            f"There is no plan {shown_in} of {workflow}.", hint=f"Make one: crosstie run {workflow} --plan"
        )
    if planned.status is not RunStatus.DONE:
        raise ConfigError(
            f"Plan {shown_in} is not complete: its run is {planned.status}.",
            hint=f"Complete it: crosstie run {workflow} --plan",
        )
    if planned.version != version:
        raise ConfigError(
            f"Plan {shown_in} was made with version {planned.version} of {workflow}, which was edited since: this is"
            f" version {version}.",
            hint=f"Nothing was sent. {anew}",
        )
    if not plans.plans_of_run(transaction, shown_in):
        raise ConfigError(
            f"Plan {shown_in} has nothing to do: no row came to an activity that writes to a CRM.", hint=anew
        )


def _take_over_plan(transaction: Transaction, shown_in: int, run: int) -> None:
    """Has a run begin with what another one has planned."""
    variables = {event.target: event.vars for event in state.events(transaction, shown_in)}
    for plan, inbound in plans.hand_over(transaction, shown_in, run):
        for table in inbound:
            state.add_event(
                transaction,
                run=run,
                source_task=None,
                source="",
                transition="",
                target=plan.activity,
                table=state.read_work_table(table),
                variables=variables.get(plan.activity, {}),
            )
