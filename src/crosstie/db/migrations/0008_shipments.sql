-- What is sent to CRMs: plans, fixed before the first call, and the shipments in which their rows leave.

-- table_name: the work table of the rows. fields: JSON list, one object for each column of values (sync/shipments.py).
-- local_table: the table of people's whose rows are sent ('' where they are no table's), whose ties are written.
create table crosstie.plan (
    id {serial},
    account {text} not null,
    org {text} not null,
    object {text} not null,
    workflow {text} not null,
    activity {text} not null,
    run bigint not null,
    local_table {text} not null default '',
    table_name {text} not null,
    key_field {text} not null default '',
    fields {text} not null,
    settings {text} not null default '{}',
    made_at {text} not null
);
create unique index crosstie_plan_run on crosstie.plan (run, activity);
create index crosstie_plan_object on crosstie.plan (account, object);

-- One remote transaction. status: planned; leaving (recorded before it left: its answers may be lost); unsure (some
-- answers are, and it has to be looked up); answered; doubt (a person decides); dissolved (its rows went into others).
-- token: a bulk job's id. left_at: the CRM's clock.
create table crosstie.shipment (
    id {serial},
    plan bigint not null,
    number bigint not null,
    operation {text} not null,
    road {text} not null,
    row_count bigint not null,
    first_lane {text} not null default '',
    last_lane {text} not null default '',
    token {text} not null default '',
    status {text} not null default 'planned',
    recorded_at {text} not null,
    deadline {text} not null,
    left_at {text},
    answered_at {text}
);
create unique index crosstie_shipment_number on crosstie.shipment (plan, number);
create index crosstie_shipment_status on crosstie.shipment (status);
