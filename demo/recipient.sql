-- The marketing side of the demo: a table of people, as a team might have it, and what shows who writes to it.

create table recipient (
    id integer primary key,
    crm_id text unique,
    first_name text,
    last_name text,
    email text,
    birth_date date,
    last_activity date,
    interests text,
    score numeric(18, 2),
    newsletter integer not null default 1,
    clicks integer not null default 0,
    forget integer not null default 0
);
create index recipient_email on recipient (email);

-- People who signed up for the newsletter and are not in the CRM: an import leaves them alone. Two of them typed something
-- that no CRM takes.
insert into recipient (first_name, last_name, email) values
    ('Ana', 'Ruiz', 'ana.ruiz@newsletter.invalid'),
    ('Søren', 'Holm', 'soren.holm@newsletter.invalid'),
    ('美咲', '佐藤', 'misaki@newsletter.invalid'),
    ('Bo', 'Lund', 'bo.lund at newsletter'),
    ('Cleo', null, 'cleo@newsletter.invalid');

-- Rows that could not be written, with the reason.
create table contact_rejects (
    id integer primary key,
    crm_id text,
    error_code text,
    error_message text
);

-- Rows that Salesforce did not take, with the reason.
create table export_rejects (
    id integer primary key,
    field text,
    error_code text,
    error_message text
);

-- Every row that anybody writes leaves a line here: the demo counts them.
create table recipient_written (
    at text not null default current_timestamp,
    operation text not null,
    crm_id text
);
create trigger recipient_inserted after insert on recipient begin
    insert into recipient_written (operation, crm_id) values ('inserted', new.crm_id);
end;
create trigger recipient_updated after update on recipient begin
    insert into recipient_written (operation, crm_id) values ('updated', new.crm_id);
end;
create trigger recipient_deleted after delete on recipient begin
    insert into recipient_written (operation, crm_id) values ('deleted', old.crm_id);
end;
