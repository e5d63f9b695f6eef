import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { type Observable, throwError, timeout } from 'rxjs';
import { unavailable } from './problem.js';

/** Marks a handler whose answer may take for ever, such as a stream. */
export const NoDeadline = Reflector.createDecorator<true>();

/** Answers with 503 what a hanging database would otherwise keep waiting; what was asked may still happen. */
@Injectable()
export class DeadlineInterceptor implements NestInterceptor {
  private readonly reflector = new Reflector();

  constructor(private readonly timeoutMs: number) {}

  intercept(context: ExecutionContext, next: CallHandler<unknown>): Observable<unknown> {
    if (this.reflector.get(NoDeadline, context.getHandler())) return next.handle();
    const detail = `There was no answer within ${this.timeoutMs} ms. What was asked may still happen; look, or retry.`;
    return next
      .handle()
      .pipe(timeout({ first: this.timeoutMs, with: () => throwError(() => unavailable(detail)) }));
  }
}
