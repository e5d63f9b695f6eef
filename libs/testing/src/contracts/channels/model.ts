/* oxlint-disable jest/no-standalone-expect -- the commands run inside the test at the end */
/// <reference types="jest" />
import { ChannelNotFoundError, type ChannelStore } from '@nestbox/channels';
import type { JsonObject } from '@nestbox/core';
import fc from 'fast-check';
import type { ChannelScene, ChannelSuite } from './subject.js';

interface Entry {
  channelName: string;
  openingData: JsonObject;
  session: JsonObject | null;
  nodeId: string | null;
}

/** What the store has to hold, as plain as can be. */
interface Model {
  entries: Map<string, Entry>;
  nodes: Set<string>;
}

/** Two stores on one data, and what makes the ids of a run differ from those of others. */
interface Real extends ChannelScene {
  own: (name: string) => string;
}

const IDS = ['a', 'b', '%:*', '🦊'];
const USERS = ['u', '7'];
const NODES = ['n', 'm'];
const id = fc.constantFrom(...IDS);
const node = fc.constantFrom(...NODES);

function command(
  name: string,
  run: (model: Model, store: ChannelStore, own: Real['own']) => Promise<void>,
): fc.Arbitrary<fc.AsyncCommand<Model, Real>> {
  return fc.boolean().map((elsewhere) => ({
    check: () => true,
    run: (model, { store, other, own }) => run(model, elsewhere ? other : store, own),
    toString: () => `${name}${elsewhere ? ' elsewhere' : ''}`,
  }));
}

function removeOf(model: Model, nodeId: string, own: Real['own']): string[] {
  const ids = [...model.entries].filter(([, entry]) => entry.nodeId === nodeId).map(([key]) => key);
  for (const key of ids) model.entries.delete(key);
  return ids.map(own).toSorted();
}

const commands = [
  fc
    .tuple(id, fc.constantFrom('one', 'two'), fc.option(fc.integer()), fc.option(node))
    .chain(([key, name, data, nodeId]) =>
      command(`add ${key} ${name} ${data} ${nodeId}`, async (model, store, own) => {
        const openingData: JsonObject = data === null ? {} : { data };
        await store.addChannel({
          channelId: own(key),
          channelName: own(name),
          ...(data !== null && { openingData }),
          ...(nodeId !== null && { nodeId: own(nodeId) }),
        });
        const session = model.entries.get(key)?.session ?? null;
        model.entries.set(key, { channelName: own(name), openingData, session, nodeId });
      }),
    ),
  fc.array(id, { maxLength: 3 }).chain((keys) =>
    command(`remove ${keys.join()}`, async (model, store, own) => {
      await store.removeChannels(keys.map(own));
      for (const key of keys) model.entries.delete(key);
    }),
  ),
  fc.tuple(id, fc.option(fc.constantFrom(...USERS, ''))).chain(([key, user]) =>
    command(`session of ${key}: ${user}`, async (model, store, own) => {
      const session: JsonObject | null = user === null ? null : user === '' ? {} : { userId: own(user) };
      const entry = model.entries.get(key);
      const setting = store.setUserSession(own(key), session);
      if (entry === undefined) {
        await expect(setting).rejects.toThrow(ChannelNotFoundError);
        return;
      }
      await setting;
      entry.session = session;
    }),
  ),
  node.chain((nodeId) =>
    command(`heartbeat ${nodeId}`, async (model, store, own) => {
      expect(await store.heartbeat(own(nodeId), 600_000)).toBe(model.nodes.has(nodeId));
      model.nodes.add(nodeId);
    }),
  ),
  node.chain((nodeId) =>
    command(`release ${nodeId}`, async (model, store, own) => {
      expect((await store.releaseNode(own(nodeId))).toSorted()).toEqual(removeOf(model, nodeId, own));
      model.nodes.delete(nodeId);
    }),
  ),
  command('touch and reap', async (_, store, own) => {
    await store.touch(IDS.map(own));
    expect(await store.reap()).toEqual([]);
    expect(await store.removeStale('1h')).toEqual([]);
  }),
  command('read all', async (model, store, own) => {
    const found = await store.getChannels(IDS.map(own));
    const expected = [...model.entries].map(([key, { channelName, openingData, session }]) => [
      own(key),
      { channelId: own(key), channelName, openingData, session },
    ]);
    expect(Object.fromEntries(found)).toEqual(Object.fromEntries(expected));
    const owners = await store.locate(IDS.map(own));
    for (const key of IDS) {
      const owner = model.entries.get(key)?.nodeId;
      expect(owners.get(own(key))).toBe(typeof owner === 'string' ? own(owner) : owner);
    }
    for (const user of USERS) {
      const of = [...model.entries].filter(([, { session }]) => session?.['userId'] === own(user));
      expect((await store.findByUser(own(user))).toSorted()).toEqual(of.map(([key]) => own(key)).toSorted());
    }
    for (const name of ['one', 'two'].map(own)) {
      const of = [...model.entries].filter(([, { channelName }]) => channelName === name);
      const { channels } = await store.list({ name });
      expect(channels.map(({ channelId }) => channelId).toSorted()).toEqual(
        of.map(([key]) => own(key)).toSorted(),
      );
    }
  }),
];

let runs = 0;

export function modelled(suite: ChannelSuite): void {
  it('behaves like a plain map of channels, whatever is done to it', async () => {
    await suite.own(async ({ store, other }) => {
      await fc.assert(
        fc.asyncProperty(fc.commands(commands, { maxCommands: 30 }), async (sequence) => {
          const run = ++runs;
          const own = (name: string): string => `${run} ${name}`;
          await fc.asyncModelRun(
            () => ({ model: { entries: new Map(), nodes: new Set<string>() }, real: { store, other, own } }),
            sequence,
          );
        }),
        { numRuns: 30 },
      );
    });
  });
}
