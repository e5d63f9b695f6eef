import { InvalidArgumentError } from '@nestbox/core';
import { Inject } from '@nestjs/common';
import type { TypeOrmTransactionOptions, TypeOrmTransactions } from './typeorm-transactions.js';
import { TransactionsNotInjectedError } from './typeorm.errors.js';
import { getTypeOrmTransactionsToken } from './typeorm.tokens.js';

/** Which transactions a method runs in, and how they are begun. */
export interface TransactionalOptions extends TypeOrmTransactionOptions {
  /** Which {@link TypeOrmTransactions}, for a named one. */
  name?: string;
}

type Method = (...args: never[]) => Promise<unknown>;

/**
 * Runs a method of a provider or controller in a transaction, as {@link TypeOrmTransactions.run} does: inside another
 * one it is a savepoint. The method has to return a promise.
 *
 * @throws InvalidArgumentError on what is no method, or a static one; TransactionsNotInjectedError, when the method is
 *   called, on an object that Nest has not made
 */
export function Transactional({ name, ...options }: TransactionalOptions = {}) {
  return <M extends Method>(
    target: object,
    method: string | symbol,
    descriptor: TypedPropertyDescriptor<M>,
  ): void => {
    const original = methodOf(target, method, descriptor);
    const property = `nestboxTransactions:${name ?? ''}`;
    // Nest sets it on each object that it makes, of whatever scope.
    Inject(getTypeOrmTransactionsToken(name))(target, property);
    async function wrapped(this: object, ...args: never[]): Promise<unknown> {
      const transactions: TypeOrmTransactions | undefined = Reflect.get(this, property);
      if (transactions === undefined) {
        throw new TransactionsNotInjectedError(`${target.constructor.name}.${String(method)}`, name);
      }
      return transactions.run(() => original.apply(this, args), options);
    }
    Object.defineProperty(wrapped, 'name', { value: original.name, configurable: true });
    copyMetadata(original, wrapped);
    descriptor.value = wrapped as M;
  };
}

/** TypeScript lets a decorator stand where it finds nothing to wrap, or no object that Nest could have made. */
function methodOf<M extends Method>(
  target: object,
  method: string | symbol,
  descriptor: TypedPropertyDescriptor<M> | undefined,
): M {
  const isStatic = typeof target === 'function';
  const original = descriptor?.value;
  if (typeof original === 'function' && !isStatic) return original;
  const { name } = isStatic ? target : target.constructor;
  throw new InvalidArgumentError(
    `@Transactional() of ${name}.${String(method)}`,
    isStatic
      ? 'stands on a static method, and only objects get their transactions from Nest. Call TypeOrmTransactions.run(…) in it.'
      : 'stands on something that is not a method.',
  );
}

/** What decorators below this one have said about the method, such as its route. */
function copyMetadata(from: object, to: object): void {
  for (const key of Reflect.getMetadataKeys(from)) {
    Reflect.defineMetadata(key, Reflect.getMetadata(key, from), to);
  }
}
