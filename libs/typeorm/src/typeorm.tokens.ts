import { Inject, type InjectionToken } from '@nestjs/common';
import { TypeOrmTransactions } from './typeorm-transactions.js';

/** The injection token of a {@link TypeOrmTransactions}: the class itself without a name. */
export function getTypeOrmTransactionsToken(name?: string): InjectionToken<TypeOrmTransactions> {
  return name === undefined ? TypeOrmTransactions : `NestboxTypeOrmTransactions:${name}`;
}

/** Injects the {@link TypeOrmTransactions} of that name. */
export function InjectTypeOrmTransactions(name?: string): PropertyDecorator & ParameterDecorator {
  return Inject(getTypeOrmTransactionsToken(name));
}
