import {
  type CallHandler,
  type ExecutionContext,
  Inject,
  Injectable,
  type NestInterceptor,
} from '@nestjs/common';
import { type Observable, throwError, timeout } from 'rxjs';
import type { ShopConfig } from '../config.js';
import { SHOP_CONFIG } from '../tokens.js';
import { unavailable } from './problem.js';

/** Answers with 503 what a hanging database would otherwise keep waiting; what was asked may still happen. */
@Injectable()
export class DeadlineInterceptor implements NestInterceptor {
  constructor(@Inject(SHOP_CONFIG) private readonly config: Pick<ShopConfig, 'requestTimeoutMs'>) {}

  intercept(_context: ExecutionContext, next: CallHandler<unknown>): Observable<unknown> {
    const { requestTimeoutMs } = this.config;
    const detail = `There was no answer within ${requestTimeoutMs} ms. What was asked may still happen; look, or retry.`;
    return next
      .handle()
      .pipe(timeout({ first: requestTimeoutMs, with: () => throwError(() => unavailable(detail)) }));
  }
}
