-- row_key: what tells a refused row from the others of its population, where it has no remote id; '' for unknown.
alter table crosstie.reject add column row_key {text} not null default '';
