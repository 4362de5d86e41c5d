-- looked_at: when the object was last compared with the CRM on its own account, '' for never.
-- told: a digest of the differences that people were told of, '' for none.
alter table crosstie.schema add column looked_at {text} not null default '';
alter table crosstie.schema add column told {text} not null default '';
