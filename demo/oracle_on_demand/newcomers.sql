-- Oracle CRM On Demand takes any text as an address; not what is longer than its field. It takes nobody without a name.
update recipient set email = 'bo.' || replace(hex(zeroblob(50)), '0', 'x') || '@newsletter.invalid' where last_name = 'Lund';
delete from recipient_written;
