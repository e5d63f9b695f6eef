drop function if exists nestbox.acquire_lease;
drop function if exists nestbox.assert_lease;
drop function if exists nestbox.drop_empty_schema;
drop function if exists nestbox.ensure_schema;
drop function if exists nestbox.enter_log;
drop function if exists nestbox.log_watermark;
drop function if exists nestbox.release_leases;
drop function if exists nestbox.renew_leases;
drop function if exists nestbox.sweep_leases;
drop table nestbox.leases;
drop sequence nestbox.lease_epochs;
drop table nestbox.migrations;

-- A role that may not create schemas was given this one, and would not get it back.
do $$
begin
  if pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create') then
    drop schema nestbox;
  end if;
exception
  -- Somebody else keeps something in it, or owns it.
  when dependent_objects_still_exist or insufficient_privilege then
    null;
end
$$;
