-- Lists, and what incremental queries have put out.

-- description: JSON of the WorkTable, whose table belongs to the list.
create table crosstie.list (
    name {text} primary key,
    label {text} not null default '',
    table_name {text} not null,
    description {text} not null,
    made_at {text} not null,
    made_by {text} not null default '',
    changed_at {text} not null,
    changed_by {text} not null default ''
);

-- table_name: a table (k_1, k_2 …, delivery). keys: JSON of its key columns. kept: 0 when a start forgets it.
create table crosstie.delivered (
    workflow {text} not null,
    activity {text} not null,
    table_name {text} not null,
    keys {text} not null,
    kept bigint not null default 1,
    primary key (workflow, activity)
);

-- status: pending, delivered, abandoned.
create table crosstie.delivery (
    id {serial},
    workflow {text} not null,
    activity {text} not null,
    run bigint not null,
    task bigint not null,
    at {text} not null,
    status {text} not null default 'pending'
);
create index crosstie_delivery_run on crosstie.delivery (run, status);
create index crosstie_delivery_activity on crosstie.delivery (workflow, activity);
