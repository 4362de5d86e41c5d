-- The road by calls of a few rows is called so for every CRM, and no longer as Salesforce calls its own.
update crosstie.shipment set road = 'calls' where road = 'collections';
update crosstie.plan set settings = replace(settings, '"road": "collections"', '"road": "calls"');
