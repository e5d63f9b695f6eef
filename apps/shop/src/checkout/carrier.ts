import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import type { ShopConfig } from '../config.js';
import type { Parcel } from '../orders/parcel.js';
import { SHOP_CONFIG } from '../tokens.js';

/** Stands for a company that carries parcels. */
@Injectable()
export class Carrier {
  constructor(@Inject(SHOP_CONFIG) private readonly config: Pick<ShopConfig, 'carrierLatencyMs'>) {}

  /**
   * Has a parcel collected. @returns its tracking number, the same one for the same key
   */
  async collect(_parcel: Parcel, key: string, signal: AbortSignal): Promise<string> {
    await sleep(this.config.carrierLatencyMs, undefined, { signal });
    return `NB${createHash('sha256').update(key).digest('hex').slice(0, 12).toUpperCase()}`;
  }

  /** Has it brought back. */
  async recall(_trackingNumber: string): Promise<void> {
    await sleep(this.config.carrierLatencyMs);
  }
}
