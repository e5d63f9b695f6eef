/** What runs a test server: a local process or a container. */
export interface ServerHost {
  /** The server's process id, where it is a local process that runs. */
  readonly pid: number | undefined;
  readonly isRunning: boolean;
  /** Starts it, with the same data and on the same port as before. */
  start(): Promise<void>;
  /** Stops it cleanly, and keeps its data. Nothing happens when it does not run. */
  stop(): Promise<void>;
  /** Ends it as a crash does, and keeps its data. */
  kill(): Promise<void>;
  /** Lets it hang: connections stay open and nothing is answered. */
  freeze(): Promise<void>;
  unfreeze(): Promise<void>;
  /** Stops it for good and removes its data. */
  remove(): Promise<void>;
  /** Why it does not run although it was started, with its last words; undefined while it runs. */
  failure(): Promise<string | undefined>;
}
