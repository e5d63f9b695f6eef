import { messageOf } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import { isClusterClient, type ClusterClient, type RedisClient, type SingleClient } from './driver.js';

/**
 * Logs when a connection is lost and when it is back, once each, however often connecting fails in between; likewise
 * for the nodes of a cluster.
 */
export class StateLog {
  private readonly logger = new Logger('NestboxRedis');
  private readonly lostNodes = new Set<string>();
  private lostAt: number | undefined;
  private reason: unknown;

  constructor(private readonly server: string) {}

  watch(client: RedisClient): void {
    // Also what keeps ioredis from printing its errors itself.
    client.on('error', (error: unknown) => {
      this.reason = error;
    });
    client.on('reconnecting', () => this.lost());
    client.on('ready', () => this.found());
    if (isClusterClient(client)) this.watchNodes(client);
  }

  private lost(): void {
    if (this.lostAt !== undefined) return;
    this.lostAt = performance.now();
    const problem =
      this.reason === undefined ? 'closed the connection' : `cannot be reached: ${messageOf(this.reason)}`;
    this.logger.warn(`Redis (${this.server}) ${problem}. Trying to connect until it works.`);
  }

  private found(): void {
    if (this.lostAt !== undefined) {
      const seconds = ((performance.now() - this.lostAt) / 1000).toFixed(1);
      this.logger.log(`Redis (${this.server}) is connected again after ${seconds} s.`);
    }
    this.lostAt = undefined;
    this.reason = undefined;
  }

  private watchNodes(client: ClusterClient): void {
    client.on('node error', (error: unknown, node: string) => {
      if (this.lostNodes.has(node)) return;
      this.lostNodes.add(node);
      this.logger.warn(`A node of the Redis cluster cannot be reached, ${node}: ${messageOf(error)}`);
    });
    client.on('+node', (connection: SingleClient) => {
      connection.on('ready', () => {
        const { host, port } = connection.options;
        if (this.lostNodes.delete(`${host}:${port}`)) {
          this.logger.log(`The node ${host}:${port} of the Redis cluster is connected again.`);
        }
      });
    });
  }
}
