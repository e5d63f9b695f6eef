-- Which channels are subscribed to which topics. They end with their channel.
create table if not exists {{schema}}.lambda_channel_subscriptions (
  channel_id text not null references {{schema}}.lambda_channels (channel_id) on delete cascade,
  topic text not null,
  primary key (channel_id, topic)
);
-- The table may be one that was made elsewhere.
alter table {{schema}}.lambda_channel_subscriptions
  alter column channel_id type text collate "C",
  alter column topic type text collate "C";
-- Who is subscribed to a topic, from the index alone.
create index if not exists lambda_channel_subscriptions_topic
  on {{schema}}.lambda_channel_subscriptions (topic, channel_id);
