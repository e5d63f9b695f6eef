drop function if exists {{schema.name+_follow}};
drop function if exists {{schema.name+_history}};
drop function if exists {{schema.name+_keep}};
drop function if exists {{schema.name+_publish}};
drop function if exists {{schema.name+_trim}};
-- The sequence goes with the table that owns it.
drop table if exists {{schema.name+_stream}}, {{schema.name+_topics}}, {{schema.name+_trimmed}};
select nestbox.drop_empty_schema({{schema:literal}});
