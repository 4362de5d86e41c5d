-- The tables of docs/decisions/001-storage-of-the-sync.md. Instants are fixed-width UTC text, booleans 0 or 1,
-- structures JSON text.

create table crosstie.meta (
    name {text} primary key,
    value {text} not null
);

create table crosstie.option (
    name {text} primary key,
    label {text} not null default '',
    type {text} not null default 'text',
    value {text} not null default '',
    changed_at {text} not null default '',
    changed_by {text} not null default ''
);

create table crosstie.account (
    name {text} primary key,
    kind {text} not null,
    host {text} not null,
    settings {text} not null default '{}',
    sealed {blob},
    token_sealed {blob},
    org_id {text} not null default '',
    org_name {text} not null default '',
    time_zone {text} not null default '',
    checked_at {text},
    changed_at {text} not null
);

-- description: JSON of the RemoteObject.
create table crosstie.schema (
    account {text} not null,
    object {text} not null,
    label {text} not null default '',
    description {text} not null,
    table_name {text} not null default '',
    fingerprint {text} not null default '',
    collected_at {text} not null,
    primary key (account, object)
);

create table crosstie.workflow (
    name {text} primary key,
    label {text} not null default '',
    version bigint not null,
    changed_at {text} not null
);

create table crosstie.workflow_version (
    workflow {text} not null,
    version bigint not null,
    text {text} not null,
    source {text} not null default '',
    applied_at {text} not null,
    applied_by {text} not null default '',
    primary key (workflow, version)
);

create table crosstie.run (
    id {serial},
    workflow {text} not null,
    version bigint not null,
    status {text} not null,
    started_at {text} not null,
    ended_at {text},
    epoch bigint not null default 0,
    api_calls bigint not null default 0,
    remote_rows bigint not null default 0,
    message {text} not null default ''
);
create index crosstie_run_workflow on crosstie.run (workflow, id);

create table crosstie.task (
    id {serial},
    run bigint not null,
    activity {text} not null,
    attempt bigint not null default 1,
    status {text} not null,
    started_at {text} not null,
    ended_at {text},
    inbound {text} not null default '',
    counts {text} not null default '{}',
    error_code {text} not null default '',
    error_message {text} not null default ''
);
create index crosstie_task_run on crosstie.task (run, id);

-- target: '' for a branch that ended. description: JSON of the WorkTable. task: who consumes it, null while pending.
create table crosstie.event (
    id {serial},
    run bigint not null,
    source_task bigint,
    source {text} not null default '',
    transition {text} not null default '',
    target {text} not null default '',
    table_name {text} not null default '',
    description {text} not null default '',
    rows bigint not null default 0,
    vars {text} not null default '{}',
    task bigint
);
create index crosstie_event_run on crosstie.event (run, id);

create table crosstie.log (
    id {serial},
    at {text} not null,
    workflow {text} not null default '',
    run bigint,
    task bigint,
    activity {text} not null default '',
    level {text} not null,
    text {text} not null,
    details {text} not null default ''
);
create index crosstie_log_run on crosstie.log (run, id);

-- "window" is a reserved word of PostgreSQL. start_at is null on a first import, option_read where there was no option.
create table crosstie.import_window (
    id {serial},
    option_name {text} not null,
    account {text} not null,
    org {text} not null,
    object {text} not null,
    workflow {text} not null,
    activity {text} not null,
    run bigint not null,
    field {text} not null,
    start_at {text},
    end_at {text} not null,
    overlap_seconds bigint not null default 0,
    option_read {text},
    status {text} not null,
    job {text} not null default '',
    generation bigint not null default 0,
    fingerprint {text} not null default '',
    tail_table {text} not null default '',
    rows bigint not null default 0,
    opened_at {text} not null,
    closed_at {text}
);
create unique index crosstie_import_window_open on crosstie.import_window (option_name) where status = 'open';
create index crosstie_import_window_run on crosstie.import_window (run);

create table crosstie.tail (
    option_name {text} primary key,
    table_name {text} not null,
    end_at {text},
    fingerprint {text} not null,
    late_seconds bigint not null default 0
);

create table crosstie.unaccepted (
    option_name {text} not null,
    remote_id {text} not null,
    since {text} not null,
    run bigint not null,
    primary key (option_name, remote_id)
);

-- status: open, accepted, dismissed.
create table crosstie.reject (
    id {serial},
    run bigint not null,
    task bigint,
    workflow {text} not null,
    activity {text} not null,
    account {text} not null default '',
    object {text} not null default '',
    remote_id {text} not null default '',
    code {text} not null default '',
    symbol {text} not null default '',
    message {text} not null default '',
    field {text} not null default '',
    value {text},
    record {text} not null default '',
    at {text} not null,
    status {text} not null default 'open'
);
create index crosstie_reject_workflow on crosstie.reject (workflow, status);
create index crosstie_reject_run on crosstie.reject (run);

create table crosstie.tie (
    id {serial},
    account {text} not null,
    org {text} not null,
    object {text} not null,
    local_table {text} not null,
    table_name {text} not null default '',
    columns {text} not null default '[]',
    unique (account, org, object, local_table)
);

create table crosstie.audit (
    id {serial},
    at {text} not null,
    who {text} not null default '',
    action {text} not null,
    thing {text} not null,
    before {text} not null default '',
    after {text} not null default ''
);
