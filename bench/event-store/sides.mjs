import { withDatabase } from './databases.mjs';
import { openEmmett } from './emmett-side.mjs';
import { openNestbox } from './nestbox-side.mjs';

/** Runs `fn` with both sides open, each with a database of its own: Emmett takes our tables for old ones of its own. */
export async function withSides(serverUrl, fn) {
  await withDatabase(serverUrl, (ourUrl) =>
    withDatabase(serverUrl, async (emmettUrl) => {
      const sides = [];
      try {
        sides.push(await openNestbox(ourUrl));
        sides.push(await openEmmett(emmettUrl));
        await fn(sides);
      } finally {
        for (const side of sides) await side.close();
      }
    }),
  );
}
