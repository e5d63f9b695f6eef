import { Refusal, Unanswered } from './requests.js';

/**
 * Reads something one at a time: who asks while it is being read gets it read once more afterwards, so that what is
 * shown in the end is newer than the last one who asked. What cannot be read now is read when somebody asks again.
 */
export function reading(attempt) {
  let running;
  let isStale = false;
  async function readAll() {
    while (isStale) {
      isStale = false;
      try {
        await attempt();
      } catch (error) {
        if (!(error instanceof Refusal || error instanceof Unanswered)) reportError(error);
      }
    }
    running = undefined;
  }
  return () => {
    isStale = true;
    running ??= readAll();
    return running;
  };
}
