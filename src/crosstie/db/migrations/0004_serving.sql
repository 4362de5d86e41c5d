-- What `serve` needs beyond 0002.

-- woken: why a waiting task is executed again, as JSON; kept so that a kill loses no signal.
alter table crosstie.task add column woken {text} not null default '';

-- kept: 1 when all work tables of the run stay as long as it is the newest of its workflow.
alter table crosstie.run add column kept bigint not null default 0;
create index crosstie_run_status on crosstie.run (status, workflow);

-- rule: the Schedule as JSON; zone: an IANA name. activity '': when the paused workflow is spoken of next.
alter table crosstie.schedule add column zone {text} not null default 'UTC';
