-- The API calls of a run by external account; crosstie.run has their sum.

create table crosstie.api_usage (
    run bigint not null,
    account {text} not null,
    api_calls bigint not null,
    primary key (run, account)
);
