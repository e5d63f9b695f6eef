-- Also the table of subscriptions that was there before.
drop function if exists {{schema}}.lambda_subscribe;
drop function if exists {{schema}}.lambda_unsubscribe;
drop table if exists {{schema}}.lambda_channel_subscriptions;
select nestbox.drop_empty_schema({{schema:literal}});
