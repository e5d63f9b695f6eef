import type { GroupSpec } from '../../command/define.js';
import { eventsRead } from './events-read.js';
import { eventsStreams } from './events-streams.js';
import { eventsTail } from './events-tail.js';

export const eventsGroup: GroupSpec = {
  name: 'events',
  summary: 'look into the event store',
  details: 'Nothing here changes anything.',
  commands: [eventsStreams, eventsRead, eventsTail],
};
