-- Plans that are shown before anything is sent.

-- planning: 1 for a run that works out what it would send to CRMs, and sends nothing.
alter table crosstie.run add column planning bigint not null default 0;

-- inbound: JSON list of the inbound work tables of the activity, kept with the plan. shown_in: the run that made a plan
-- which another run carries out, 0 for none.
alter table crosstie.plan add column inbound {text} not null default '[]';
alter table crosstie.plan add column shown_in bigint not null default 0;
