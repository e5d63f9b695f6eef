/// <reference types="jest" />
import { ChannelNotFoundError } from '@nestbox/channels';
import { failureOf, numbers } from '../kv/subject.js';
import { ODD_NAMES } from './names.js';
import type { ChannelSuite } from './subject.js';

export function entries(suite: ChannelSuite): void {
  describe('channels', () => {
    it('are found by whoever shares the data as soon as they are added', async () => {
      const { store, other } = await suite.shared();
      const openingData = { path: '/chat', nested: { list: [1, null, 'é🦊'] } };
      await store.addChannel({ channelId: 'found', channelName: 'chat', openingData });
      const expected = { channelId: 'found', channelName: 'chat', openingData, session: null };
      expect(await other.getChannelAndSession('found')).toEqual(expected);
      await other.setUserSession('found', { userId: 'u' });
      expect(await store.getChannelAndSession('found')).toEqual({ ...expected, session: { userId: 'u' } });
      await other.removeChannels(['found']);
      await expect(store.getChannelAndSession('found')).rejects.toThrow('Channel not found: found');
    });

    it('have {} for opening data and null for a session until there are some', async () => {
      const { store } = await suite.shared();
      await store.addChannel({ channelId: 'plain', channelName: 'chat' });
      expect(await store.getChannelAndSession('plain')).toEqual({
        channelId: 'plain',
        channelName: 'chat',
        openingData: {},
        session: null,
      });
    });

    it('that are added again get a new name, opening data and owner, and keep the session', async () => {
      const { store, other } = await suite.shared();
      const channelId = 'again';
      await store.addChannel({ channelId, channelName: 'one', openingData: { a: 1 }, nodeId: 'node one' });
      await store.setUserSession(channelId, { userId: 'again user' });
      await other.addChannel({ channelId, channelName: 'two', openingData: { b: 2 }, nodeId: 'node two' });
      expect(await store.getChannelAndSession(channelId)).toEqual({
        channelId,
        channelName: 'two',
        openingData: { b: 2 },
        session: { userId: 'again user' },
      });
      expect(await store.locate([channelId])).toEqual(new Map([[channelId, 'node two']]));
      expect(await store.findByUser('again user')).toEqual([channelId]);
      await store.addChannel({ channelId, channelName: 'three' });
      expect(await other.getChannelAndSession(channelId)).toMatchObject({
        channelName: 'three',
        openingData: {},
      });
      expect(await other.locate([channelId])).toEqual(new Map([[channelId, null]]));
    });

    it('that are removed and added again begin without a session', async () => {
      const { store } = await suite.shared();
      await store.addChannel({ channelId: 'anew', channelName: 'chat' });
      await store.setUserSession('anew', { userId: 'anew user' });
      await store.removeChannels(['anew']);
      await store.addChannel({ channelId: 'anew', channelName: 'chat' });
      expect((await store.getChannelAndSession('anew')).session).toBeNull();
      expect(await store.findByUser('anew user')).toEqual([]);
    });

    it('that do not exist are named by the error, and no error where many are asked for', async () => {
      const { store } = await suite.shared();
      for (const failed of [
        store.getChannelAndSession('no "such"'),
        store.setUserSession('no "such"', { a: 1 }),
        store.setUserSession('no "such"', null),
      ]) {
        const error = await failureOf(failed);
        expect(error).toBeInstanceOf(ChannelNotFoundError);
        expect(error).toMatchObject({ message: 'Channel not found: no "such"', channelId: 'no "such"' });
      }
      await store.removeChannels(['no "such"', 'nor this']);
      await store.touch(['no "such"', 'nor this']);
      expect(await store.getChannels(['no "such"'])).toEqual(new Map());
      expect(await store.locate(['no "such"'])).toEqual(new Map());
      expect(await store.findByUser('no "such"')).toEqual([]);
      await expect(store.getChannelAndSession('no "such"')).rejects.toThrow(ChannelNotFoundError);
    });

    it('can be none', async () => {
      const { store } = await suite.shared();
      await store.removeChannels([]);
      await store.touch([]);
      expect(await store.getChannels([])).toEqual(new Map());
      expect(await store.locate([])).toEqual(new Map());
    });

    it('are read together, without those that do not exist, and each once', async () => {
      const { store } = await suite.shared();
      await store.addChannel({ channelId: 'many 1', channelName: 'a', openingData: { n: 1 }, nodeId: 'n' });
      await store.addChannel({ channelId: 'many 2', channelName: 'b' });
      await store.setUserSession('many 2', { role: 'admin' });
      const ids = ['many 2', 'many 0', 'many 1', 'many 2'];
      const found = await store.getChannels(ids);
      expect(Object.fromEntries(found)).toEqual({
        'many 1': { channelId: 'many 1', channelName: 'a', openingData: { n: 1 }, session: null },
        'many 2': { channelId: 'many 2', channelName: 'b', openingData: {}, session: { role: 'admin' } },
      });
      expect(Object.fromEntries(await store.locate(ids))).toEqual({ 'many 1': 'n', 'many 2': null });
    });

    it('may have any name', async () => {
      const { store, other } = await suite.shared();
      await Promise.all(
        ODD_NAMES.map((name) =>
          store.addChannel({ channelId: name, channelName: name, openingData: { name }, nodeId: name }),
        ),
      );
      await Promise.all(ODD_NAMES.map((name) => store.setUserSession(name, { userId: name })));
      const channels = await other.getChannels(ODD_NAMES);
      const owners = await other.locate(ODD_NAMES);
      for (const name of ODD_NAMES) {
        const session = { userId: name };
        expect(channels.get(name)).toEqual({
          channelId: name,
          channelName: name,
          openingData: { name },
          session,
        });
        expect(owners.get(name)).toBe(name);
        expect(await other.findByUser(name)).toEqual([name]);
        const { channels: listed } = await other.list({ name });
        expect(listed.map(({ channelId }) => channelId)).toEqual([name]);
      }
      await store.removeChannels(ODD_NAMES.slice(1));
      expect([...(await other.getChannels(ODD_NAMES)).keys()]).toEqual([ODD_NAMES[0]]);
      await store.removeChannels(ODD_NAMES);
    });

    it('are removed ten thousand at once', async () => {
      await suite.own(async ({ store, other }) => {
        const ids = numbers(2000).map((i) => `channel ${i}`);
        await Promise.all(ids.map((channelId) => store.addChannel({ channelId, channelName: 'chat' })));
        await store.addChannel({ channelId: 'stays', channelName: 'chat' });
        expect((await other.getChannels(ids)).size).toBe(2000);
        await other.removeChannels([...ids, ...numbers(8000).map((i) => `unknown ${i}`)]);
        expect(await store.count()).toBe(1);
        expect((await store.getChannels(['stays'])).size).toBe(1);
      });
    }, 60_000);

    it('keep what they were given, whatever is done to it afterwards', async () => {
      const { store } = await suite.shared();
      const openingData = { list: [1] };
      const adding = store.addChannel({ channelId: 'kept', channelName: 'chat', openingData });
      openingData.list.push(2);
      await adding;
      const session = { userId: 'kept user', list: [1] };
      const setting = store.setUserSession('kept', session);
      session.list.push(2);
      session.userId = 'another';
      await setting;
      const read = await store.getChannelAndSession('kept');
      expect(read).toMatchObject({ openingData: { list: [1] }, session: { list: [1] } });
      (read.openingData as { list: number[] }).list.push(3);
      read.session!['userId'] = 'another';
      expect(await store.getChannelAndSession('kept')).toMatchObject({
        openingData: { list: [1] },
        session: { userId: 'kept user' },
      });
      expect(await store.findByUser('kept user')).toEqual(['kept']);
      const ids = ['kept'];
      const removing = store.removeChannels(ids);
      ids.push('plain');
      await removing;
    });
  });
}
