import { load } from '../driver.js';

/** Whether servers are to be containers: `TEST_SERVERS=containers`. */
export function useContainers(): boolean {
  return process.env['TEST_SERVERS'] === 'containers';
}

/** Testcontainers, which need not be installed unless containers are asked for. */
export function loadTestcontainers(): Promise<typeof import('testcontainers')> {
  return load('testcontainers', () => import('testcontainers'));
}

/** Where the ports of containers are reached: mostly `localhost`. */
export async function containerHostname(): Promise<string> {
  const { getContainerRuntimeClient } = await loadTestcontainers();
  const client = await getContainerRuntimeClient();
  const { host } = client.info.containerRuntime;
  // The servers listen on IPv4.
  return host === 'localhost' ? '127.0.0.1' : host;
}

/** The image of a major version of PostgreSQL, or the one that `TEST_POSTGRES_IMAGE` names. */
export function postgresImage(version: number | undefined): string {
  const named = process.env['TEST_POSTGRES_IMAGE'];
  if (named && (version === undefined || majorOfImage(named) === version)) return named;
  return `postgres:${version ?? 18}-alpine`;
}

/** The major versions of PostgreSQL that there are images of. */
export function postgresImageVersions(): number[] {
  const named = process.env['TEST_POSTGRES_IMAGE'];
  return named ? [majorOfImage(named) ?? 18] : [15, 16, 17, 18];
}

/** The image with `redis-server` or, when its name says so, `valkey-server`. */
export function redisImage(): { image: string; command: string } {
  const image = process.env['TEST_REDIS_IMAGE'] || 'redis:8-alpine';
  return { image, command: image.includes('valkey') ? 'valkey-server' : 'redis-server' };
}

function majorOfImage(image: string): number | undefined {
  const major = /:(\d+)[^/]*$/.exec(image)?.[1];
  return major === undefined ? undefined : Number(major);
}
