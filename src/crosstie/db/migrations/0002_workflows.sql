-- What runs need beyond one passage: workflows that are started and stopped, tasks that wait, requests of people,
-- schedules. vars, state, details: JSON text. status of a workflow: edited, started, paused, failed, finished.

alter table crosstie.workflow add column status {text} not null default 'edited';
alter table crosstie.workflow add column vars {text} not null default '{}';
alter table crosstie.workflow add column ignored_errors bigint not null default 0;
alter table crosstie.workflow add column status_at {text} not null default '';
alter table crosstie.workflow add column status_by {text} not null default '';
alter table crosstie.workflow add column message {text} not null default '';

-- served: 1 when `serve` carries the run on, 0 when it belongs to `crosstie run`. parent_task: of a sub-workflow.
alter table crosstie.run add column served bigint not null default 0;
alter table crosstie.run add column simulated bigint not null default 0;
alter table crosstie.run add column parent_task bigint;

-- due_at: when a waiting task is executed again; signal: 1 when it listens to signals.
alter table crosstie.task add column due_at {text};
alter table crosstie.task add column signal bigint not null default 0;
alter table crosstie.task add column state {text} not null default '{}';
alter table crosstie.task add column note {text} not null default '';
create index crosstie_task_due on crosstie.task (status, due_at);

-- action: pause, stop, wake, signal. What people ask for is recorded at once and applied by whoever holds the workflow.
create table crosstie.request (
    id {serial},
    workflow {text} not null,
    action {text} not null,
    activity {text} not null default '',
    details {text} not null default '{}',
    at {text} not null,
    by_whom {text} not null default '',
    done_at {text},
    outcome {text} not null default ''
);
create index crosstie_request_workflow on crosstie.request (workflow, done_at);

create table crosstie.schedule (
    workflow {text} not null,
    activity {text} not null,
    rule {text} not null,
    next_at {text},
    last_at {text},
    fired bigint not null default 0,
    primary key (workflow, activity)
);
