import { messageOf } from '@nestbox/core';
import { getKvToken, type KeyValueStore } from '@nestbox/kv';
import { Inject, Injectable, Logger, Optional } from '@nestjs/common';
import type { Product } from './product.js';

/** The name of the store that holds the cache. */
export const CACHE = 'cache';

/** How old what is shown may be where Redis was gone when it should have been told of a change. */
const TTL = '10s';

/** How long the cache is left alone after it failed. */
const PAUSE_MS = 2000;

/** A product and the version it is at. */
export interface Versioned {
  product: Product;
  version: bigint;
}

interface Cached {
  /** A bigint as text. */
  version: string;
  /** Null for an id without product. */
  product: Product | null;
}

/**
 * Keeps what is shown of products in Redis, where the shop has one; else it passes everything through. It is a
 * register in which the newest version wins: a slow reader never puts back what a writer has replaced.
 */
@Injectable()
export class ProductCache {
  private readonly logger = new Logger('ProductCache');
  /** By the monotonic clock. */
  private pausedUntil = 0;
  private failing = false;

  constructor(@Optional() @Inject(getKvToken(CACHE)) private readonly store?: KeyValueStore<Cached>) {}

  /** The product as it is cached, or as `load` gives it. */
  async read(id: string, load: () => Promise<Versioned | undefined>): Promise<Versioned | undefined> {
    const { store } = this;
    if (store === undefined || this.isPaused()) return load();
    let loading: Promise<Versioned | undefined> | undefined;
    const loadOnce = () => (loading ??= load());
    try {
      const cached = await store.getOrSet(id, async () => toCached(await loadOnce()), { ttl: TTL });
      this.works();
      return cached.product === null
        ? undefined
        : { product: cached.product, version: BigInt(cached.version) };
    } catch (error) {
      // If it was the loading that failed, it fails here again; else the answer is had without the cache.
      const loaded = await loadOnce();
      this.failed(error);
      return loaded;
    }
  }

  /** Tells it what a product is now; undefined where it was deleted. Never rejects. */
  async changed(id: string, product: Product | undefined, version: bigint): Promise<void> {
    const { store } = this;
    if (store === undefined || this.isPaused()) return;
    const now: Cached = { version: String(version), product: product ?? null };
    try {
      await store.update(id, (cached) => (cached && BigInt(cached.version) >= version ? undefined : now), {
        ttl: TTL,
      });
      this.works();
    } catch (error) {
      this.failed(error);
    }
  }

  private isPaused(): boolean {
    return performance.now() < this.pausedUntil;
  }

  private works(): void {
    if (!this.failing) return;
    this.failing = false;
    this.logger.log('The cache works again');
  }

  private failed(error: unknown): void {
    this.pausedUntil = performance.now() + PAUSE_MS;
    if (this.failing) return;
    this.failing = true;
    this.logger.warn(`The cache does not work, so products are read from PostgreSQL: ${messageOf(error)}`);
  }
}

function toCached(found: Versioned | undefined): Cached {
  return found === undefined
    ? { version: '0', product: null }
    : { version: String(found.version), product: found.product };
}
