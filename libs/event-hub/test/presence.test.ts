import { FakeHubs } from './support/fake-hubs.js';

describe('presence', () => {
  it('lists the channels of all instances, as whom they are connected, without those that are gone', async () => {
    const hubs = new FakeHubs();
    const one = await hubs.add();
    const two = await hubs.add();
    hubs.registry.sessions.set('a', { userId: 'ann' });
    one.channels.open('a');
    two.channels.open('b');
    await one.hub.subscribe('t', 'a');
    await two.hub.subscribe('t', 'b');
    await hubs.store.subscribe('t', 'gone');
    expect((await one.hub.presence('t')).sort((x, y) => x.channelId.localeCompare(y.channelId))).toEqual([
      { channelId: 'a', channelName: 'test', session: { userId: 'ann' } },
      { channelId: 'b', channelName: 'test', session: null },
    ]);
    expect(await two.hub.presenceCount('t')).toBe(3);
    expect(await two.hub.presence('nothing')).toEqual([]);
    expect(await two.hub.presenceCount('nothing')).toBe(0);
    await hubs.close();
  });
});
