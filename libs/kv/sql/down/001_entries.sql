-- The sequences go with the tables that own them. Backups are tables of their own, and stay.
drop function if exists {{schema.table+_apply}};
drop function if exists {{schema.table+_bury}};
drop function if exists {{schema.table+_complete}};
drop function if exists {{schema.table+_forget}};
drop function if exists {{schema.table+_next_version}};
drop function if exists {{schema.table+_put}};
drop function if exists {{schema.table+_remove}};
drop function if exists {{schema.table+_settle}};
drop function if exists {{schema.table+_sweep}};
drop function if exists {{schema.table+_tidy}};
drop function if exists {{schema.table+_watch}};
drop table if exists
  {{schema.table}},
  {{schema.table+_tombstones}},
  {{schema.table+_history}},
  {{schema.table+_changes}},
  {{schema.table+_log}};
select nestbox.drop_empty_schema({{schema:literal}});
