-- Also the table of channels that was there before, and was only given its columns.
do $do$
begin
  if exists (select from nestbox.migrations m where m.lib = 'event-hub' and m.target = {{schema:literal}}) then
    raise exception 'the subscriptions of the event hub in schema "%" refer to these channels', {{schema:literal}}
      using errcode = 'dependent_objects_still_exist',
            hint = 'Take back event-hub first.';
  end if;
end
$do$;
drop function if exists {{schema}}.lambda_add_channels;
drop function if exists {{schema}}.lambda_adopt_orphans;
drop function if exists {{schema}}.lambda_reap;
drop function if exists {{schema}}.lambda_remove_channels;
drop function if exists {{schema}}.lambda_set_sessions;
drop table if exists {{schema}}.lambda_channels, {{schema}}.lambda_channel_nodes;
select nestbox.drop_empty_schema({{schema:literal}});
