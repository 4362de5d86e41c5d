-- What an import with leavers has read and matched its filter: docs/decisions/001-storage-of-the-sync.md.

-- table_name: a table (remote_id). window_id: the last confirmed window of the option that it knows of.
create table crosstie.matches (
    option_name {text} primary key,
    org {text} not null,
    table_name {text} not null,
    window_id bigint not null
);

-- What the confirmation of an open window does to it. table_name: a table (remote_id, leaves), or with replaces = 1 the
-- new table (remote_id) itself. job: the remote job of the read that looks for leavers.
create table crosstie.match_change (
    window_id bigint primary key,
    table_name {text} not null default '',
    replaces bigint not null default 0,
    job {text} not null default ''
);
