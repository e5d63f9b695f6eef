import type { GroupSpec } from '../../command/define.js';
import { workflowsCancel } from './workflows-cancel.js';
import { workflowsDead } from './workflows-dead.js';
import { workflowsList } from './workflows-list.js';
import { workflowsResume } from './workflows-resume.js';
import { workflowsRetry } from './workflows-retry.js';
import { workflowsShow } from './workflows-show.js';

export const workflowsGroup: GroupSpec = {
  name: 'workflows',
  summary: 'see and steer the runs of workflows',
  details:
    'The command runs no workflow itself: the workers of the application take up what is resumed or retried.',
  commands: [workflowsList, workflowsShow, workflowsCancel, workflowsResume, workflowsRetry, workflowsDead],
};
