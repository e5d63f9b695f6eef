import type { GroupSpec } from '../../command/define.js';
import { topicsList } from './topics-list.js';

export const topicsGroup: GroupSpec = {
  name: 'topics',
  summary: 'see which topics have subscribers',
  commands: [topicsList],
};
