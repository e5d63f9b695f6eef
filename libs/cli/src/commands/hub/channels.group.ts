import type { GroupSpec } from '../../command/define.js';
import { channelsList } from './channels-list.js';

export const channelsGroup: GroupSpec = {
  name: 'channels',
  summary: 'see who is connected',
  commands: [channelsList],
};
