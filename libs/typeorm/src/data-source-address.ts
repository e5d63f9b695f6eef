import { createRequire } from 'node:module';
import { InvalidArgumentError, messageOf } from '@nestbox/core';
import type pg from 'pg';

/** What to spread into the options of a data source. */
export interface DataSourceAddress {
  /** With one host. */
  url: string;
  /** For several hosts, a client of `pg` that finds the right one. Add options of `pg-pool` to it. */
  extra?: object;
}

interface Place {
  host: string;
  port: number;
}

type ConnectCallback = (error: Error | null, client?: pg.Client) => void;

/** How long a host has to answer, where `connectionTimeoutMillis` does not say. */
const TIMEOUT_MS = 5_000;

/**
 * A data source's address from a URL that may list several hosts, `postgres://user@one:5432,two:5432/app`, of which
 * each connection goes to the one that takes writes. `pg` itself knows only one host. A URL with one host is passed on
 * as it is; one with `target_session_attrs=any` goes to the first host that answers.
 *
 * @throws InvalidArgumentError for a URL that is none, or another `target_session_attrs`
 */
export function dataSourceAddress(url: string): DataSourceAddress {
  const [, start, hosts, rest] = /^(postgres(?:ql)?:\/\/(?:[^@/?#]*@)?)([^@/?#]+)(.*)$/s.exec(url) ?? [];
  if (hosts === undefined) {
    throw new InvalidArgumentError(
      'url',
      'must be a URL such as postgres://user:password@host:5432/database.',
    );
  }
  if (!hosts.includes(',')) return { url };
  const target = new URLSearchParams(rest!.split('?')[1] ?? '').get('target_session_attrs') ?? 'read-write';
  if (!['read-write', 'primary', 'any'].includes(target)) {
    throw new InvalidArgumentError(
      'url',
      `target_session_attrs=${target} is of no use to a data source; use read-write.`,
    );
  }
  const places = hosts.split(',').map(parsePlace);
  const [first] = hosts.split(',');
  return {
    url: `${start}${first}${rest}`,
    extra: { Client: clientOf(places, target !== 'any') },
  };
}

function parsePlace(text: string): Place {
  const [, host, port] = /^(\[.+\]|[^:]+)(?::(\d+))?$/.exec(text) ?? [];
  if (host === undefined)
    throw new InvalidArgumentError('url', `has a host that is none: ${JSON.stringify(text)}.`);
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port ?? 5432) };
}

/** A client of `pg` that looks for its server when it connects. */
function clientOf(places: readonly Place[], mustWrite: boolean): typeof pg.Client {
  const { Client } = createRequire(import.meta.url)('pg') as typeof pg;
  /** Where the last one was found; it is asked first. */
  let latest: Place | undefined;

  return class extends Client {
    readonly #config: pg.ClientConfig;

    constructor(config: pg.ClientConfig) {
      super(config);
      this.#config = config;
    }

    override connect(): Promise<pg.Client>;
    override connect(callback: ConnectCallback): void;
    override connect(callback?: ConnectCallback): Promise<pg.Client> | void {
      const connected = this.#connect();
      if (callback === undefined) return connected;
      connected.then((client) => callback(null, client), callback);
    }

    async #connect(): Promise<pg.Client> {
      latest = await this.#find();
      // Where `pg` connects to is read from here; its own options may come from the URL's first host.
      Object.assign(this, latest);
      return super.connect();
    }

    async #find(): Promise<Place> {
      const errors: unknown[] = [];
      for (const place of new Set([...(latest ? [latest] : []), ...places])) {
        try {
          if (await this.#takes(place)) return place;
          errors.push(new Error(`${place.host}:${place.port} takes no writes`));
        } catch (error) {
          errors.push(error);
        }
      }
      const { code } = (errors.at(-1) ?? {}) as { code?: unknown };
      throw Object.assign(new AggregateError(errors, errors.map(messageOf).join('; ')), { code });
    }

    /** Asks on a connection of its own, since a client of `pg` connects only once. */
    async #takes(place: Place): Promise<boolean> {
      const timeoutMs = this.#config.connectionTimeoutMillis || TIMEOUT_MS;
      const client = new Client({
        ...this.#config,
        connectionTimeoutMillis: timeoutMs,
        query_timeout: timeoutMs,
      });
      // What befalls it is told by the calls below.
      client.on('error', () => undefined);
      Object.assign(client, place);
      try {
        await client.connect();
        if (!mustWrite) return true;
        const { rows } = await client.query<{ transaction_read_only: string }>('show transaction_read_only');
        return rows[0]?.transaction_read_only === 'off';
      } finally {
        await client.end().catch(() => undefined);
      }
    }
  };
}
