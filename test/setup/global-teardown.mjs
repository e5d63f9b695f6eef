/** Stops what the global setup started. */
export default async function globalTeardown() {
  await Promise.all((globalThis.nestboxTestServers ?? []).map((server) => server[Symbol.asyncDispose]()));
}
