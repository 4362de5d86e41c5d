-- What a run does outside the database, recorded in the transaction that ends the task: files to move, messages to send.

-- direction: loaded, written. status: done; moving: from_name is still to become to_name ('': to be removed).
-- Names are relative to the project's folder of files.
create table crosstie.file (
    id {serial},
    workflow {text} not null,
    activity {text} not null,
    run bigint not null,
    task bigint not null,
    direction {text} not null,
    name {text} not null,
    size_bytes bigint not null,
    digest {text} not null,
    row_count bigint not null,
    at {text} not null,
    status {text} not null default 'done',
    from_name {text} not null default '',
    to_name {text} not null default ''
);
create index crosstie_file_known on crosstie.file (workflow, activity, direction, name);
create index crosstie_file_status on crosstie.file (status);

-- kind: mail, webhook. token: the same in every attempt, so that who receives it can drop a repetition.
-- status: waiting, sent, given_up. message: JSON; emptied when it was sent. attachment: bytes of a CSV file, or null.
create table crosstie.outbox (
    id {serial},
    token {text} not null unique,
    kind {text} not null,
    recipient {text} not null,
    workflow {text} not null,
    run bigint,
    activity {text} not null default '',
    message {text} not null,
    attachment {blob},
    made_at {text} not null,
    next_at {text} not null,
    attempts bigint not null default 0,
    status {text} not null default 'waiting',
    ended_at {text},
    trouble {text} not null default ''
);
create index crosstie_outbox_status on crosstie.outbox (status, next_at);
