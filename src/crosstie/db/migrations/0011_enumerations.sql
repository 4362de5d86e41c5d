-- Enumerations: closed lists of values, the remote fields that they follow, and the columns of people's that hold them.

-- replaces: 1 where the values become those of the CRM, 0 where new ones are only added. on_unknown: what an import does
-- with values that are not in the list: report, add or ignore.
create table crosstie.enumeration (
    name {text} primary key,
    label {text} not null default '',
    replaces bigint not null default 0,
    on_unknown {text} not null default 'report',
    synced_at {text},
    changed_at {text} not null,
    changed_by {text} not null default ''
);

-- labels: JSON object, language to label. valid_for: JSON list of values of what it depends on.
create table crosstie.enumeration_value (
    enumeration {text} not null,
    name {text} not null,
    position bigint not null,
    label {text} not null default '',
    active bigint not null default 1,
    is_default bigint not null default 0,
    labels {text} not null default '{}',
    valid_for {text} not null default '[]',
    primary key (enumeration, name)
);

create table crosstie.enumeration_source (
    account {text} not null,
    object {text} not null,
    field {text} not null,
    enumeration {text} not null,
    primary key (account, object, field)
);
create index crosstie_source_enumeration on crosstie.enumeration_source (enumeration);

create table crosstie.enumeration_column (
    enumeration {text} not null,
    table_name {text} not null,
    column_name {text} not null,
    primary key (enumeration, table_name, column_name)
);
