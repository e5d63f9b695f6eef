/* oxlint-disable jest/no-standalone-expect -- the commands run inside the test at the end */
/// <reference types="jest" />
import fc from 'fast-check';
import type { EventHubSuite, HubStores } from './subject.js';

/** What the stores have to hold, as plain as can be: the topics of each channel. */
type Model = Map<string, Set<string>>;

/** Stores on one data, and what makes the names of a run differ from those of others. */
interface Real {
  stores: [HubStores, HubStores];
  own: (name: string) => string;
}

const IDS = ['a', 'b', '%:*'];
const TOPICS = ['t', 'u', '🦊_'];
const id = fc.constantFrom(...IDS);
const topic = fc.constantFrom(...TOPICS);

function command(
  name: string,
  run: (model: Model, stores: HubStores, own: Real['own']) => Promise<void>,
): fc.Arbitrary<fc.AsyncCommand<Model, Real>> {
  return fc.constantFrom(0 as const, 1 as const).map((which) => ({
    check: () => true,
    run: (model, { stores, own }) => run(model, stores[which], own),
    toString: () => `${name} (${which})`,
  }));
}

function commandsOf(refusesUnknownChannels: boolean) {
  return [
    id.chain((key) =>
      command(`add ${key}`, async (model, { channels }, own) => {
        await channels.addChannel({ channelId: own(key), channelName: 'chat' });
        if (!model.has(key)) model.set(key, new Set());
      }),
    ),
    id.chain((key) =>
      command(`remove ${key}`, async (model, { channels }, own) => {
        await channels.removeChannels([own(key)]);
        model.delete(key);
      }),
    ),
    fc.tuple(topic, id).chain(([name, key]) =>
      command(`subscribe ${key} to ${name}`, async (model, { hub }, own) => {
        const isTaken = model.has(key) || !refusesUnknownChannels;
        expect(await hub.subscribe(own(name), own(key))).toBe(isTaken);
        if (isTaken) model.set(key, (model.get(key) ?? new Set()).add(name));
      }),
    ),
    fc.tuple(topic, id).chain(([name, key]) =>
      command(`unsubscribe ${key} from ${name}`, async (model, { hub }, own) => {
        const was = model.get(key)?.delete(name) ?? false;
        expect(await hub.unsubscribe(own(name), own(key))).toBe(was);
      }),
    ),
    id.chain((key) =>
      command(`unsubscribe ${key} from all`, async (model, { hub }, own) => {
        await hub.unsubscribeAll(own(key));
        model.get(key)?.clear();
      }),
    ),
    command('read all', async (model, { hub }, own) => {
      const found = await hub.getTopicsForChannels(IDS.map(own));
      for (const key of IDS) {
        const expected = [...(model.get(key) ?? [])].map(own).toSorted();
        expect((await hub.getTopicsForChannel(own(key))).toSorted()).toEqual(expected);
        expect(found.get(own(key))?.toSorted() ?? []).toEqual(expected);
      }
      for (const name of TOPICS) {
        const expected = IDS.filter((key) => model.get(key)?.has(name)).map(own);
        expect((await hub.getChannelIdsForTopic(own(name))).toSorted()).toEqual(expected.toSorted());
        expect(await hub.countForTopic(own(name))).toBe(expected.length);
      }
      const listed = TOPICS.filter((name) => [...model.values()].some((names) => names.has(name)));
      expect((await hub.listTopics({ prefix: own('') })).topics.toSorted()).toEqual(
        listed.map(own).toSorted(),
      );
    }),
  ];
}

let runs = 0;

export function modelled(suite: EventHubSuite): void {
  it('behaves like plain sets of subscriptions, whatever is done to it', async () => {
    const { hub, channels, other, otherChannels } = await suite.shared();
    const commands = commandsOf(suite.capabilities.refusesUnknownChannels);
    await fc.assert(
      fc.asyncProperty(fc.commands(commands, { maxCommands: 30 }), async (sequence) => {
        const run = ++runs;
        const real: Real = {
          stores: [
            { hub, channels },
            { hub: other, channels: otherChannels },
          ],
          own: (name) => `run ${run} ${name}`,
        };
        await fc.asyncModelRun(() => ({ model: new Map<string, Set<string>>(), real }), sequence);
      }),
      { numRuns: 30 },
    );
  });
}
