-- Dynamics takes any text as an address, and a person without a name; not what is longer than its columns.
update recipient set email = 'bo.' || replace(hex(zeroblob(50)), '0', 'x') || '@newsletter.invalid' where last_name = 'Lund';
update recipient set last_name = 'Sands of the very long name that no column of any CRM has room for' where first_name = 'Cleo';
delete from recipient_written;
