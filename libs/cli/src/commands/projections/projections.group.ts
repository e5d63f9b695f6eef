import type { GroupSpec } from '../../command/define.js';
import { projectionsDrop } from './projections-drop.js';
import { projectionsList } from './projections-list.js';
import { projectionsParked } from './projections-parked.js';
import { projectionsPause } from './projections-pause.js';
import { projectionsRebuild } from './projections-rebuild.js';
import { projectionsReplay } from './projections-replay.js';
import { projectionsReset } from './projections-reset.js';
import { projectionsResume } from './projections-resume.js';

export const projectionsGroup: GroupSpec = {
  name: 'projections',
  summary: 'see and steer projections and reactors',
  details:
    'A processor is what runs an async projection or a reactor. Its id is the name of the projection unless the application says otherwise. Inline projections have none, since they are part of each append. Orders are carried out by the application, when it runs, behind the batch that it is at; only rebuild does its work itself.',
  commands: [
    projectionsList,
    projectionsParked,
    projectionsReplay,
    projectionsDrop,
    projectionsReset,
    projectionsRebuild,
    projectionsPause,
    projectionsResume,
  ],
};
