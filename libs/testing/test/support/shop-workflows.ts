import { NonRetryableError, Workflow, type WorkflowContext } from '@nestbox/workflows';
import { Injectable } from '@nestjs/common';

/** What was done in steps, by all of them. */
@Injectable()
export class Log {
  readonly lines: string[] = [];

  write(line: string): void {
    this.lines.push(line);
  }
}

@Injectable()
export class Payments {
  async charge(_key: string, _amount: number): Promise<string> {
    throw new NonRetryableError('No test charges a card.');
  }

  async refund(_payment: string): Promise<void> {
    throw new NonRetryableError('No test refunds anything.');
  }
}

export interface Order {
  id: string;
  amount: number;
  parcels: string[];
}

@Workflow({ name: 'checkout', deadline: '90d' })
export class Checkout {
  constructor(
    private readonly payments: Payments,
    private readonly log: Log,
  ) {}

  async run(context: WorkflowContext, order: Order): Promise<{ payment: string; shipped: string[] }> {
    const { log, payments } = this;
    await context.transaction('reserve', () => log.write('reserve'));
    const payment = await context.step(
      'charge',
      {
        retries: 3,
        backoff: { base: '4h', max: '1d', jitter: false },
        compensate: (paid) => payments.refund(paid),
      },
      ({ idempotencyKey }) => payments.charge(idempotencyKey, order.amount),
    );
    const by = await context.waitForSignal<string>('packed', { timeout: '7d' });
    const shipped = await context.map('parcels', order.parcels, String, (own, parcel) =>
      own.step('ship', () => {
        log.write(`ship ${parcel}`);
        return `${parcel} by ${by}`;
      }),
    );
    await context.sleep('time to send it back', '30d');
    await context.step('thank', () => log.write('thank'));
    return { payment, shipped };
  }
}

/** Reminds somebody every day. */
@Workflow({ name: 'reminders' })
export class Reminders {
  constructor(private readonly log: Log) {}

  async run(context: WorkflowContext, days: number): Promise<string[]> {
    const at: string[] = [];
    for (let day = 0; day < days; day++) {
      await context.sleep('a day', '1d');
      at.push(context.now().toISOString());
      await context.step('remind', () => this.log.write(`day ${day}`));
    }
    return at;
  }
}

@Workflow({ name: 'until' })
export class Until {
  async run(context: WorkflowContext, time: Date): Promise<number> {
    await context.sleepUntil('then', time);
    return context.now().getTime() - time.getTime();
  }
}

@Workflow({ name: 'hang', deadline: '1h' })
export class Hang {
  async run(context: WorkflowContext): Promise<void> {
    await context.step('hang', () => new Promise<void>(() => undefined));
  }
}

@Workflow({ name: 'parent' })
export class Parent {
  async run(context: WorkflowContext, order: Order): Promise<unknown> {
    return context.child(Checkout, order);
  }
}

/** Charges nobody. */
export class FakePayments {
  readonly charges: string[] = [];
  readonly refunds: string[] = [];
  failures = 0;

  async charge(key: string): Promise<string> {
    if (this.failures-- > 0) throw new Error('The bank is closed.');
    this.charges.push(key);
    return `payment ${this.charges.length}`;
  }

  async refund(payment: string): Promise<void> {
    this.refunds.push(payment);
  }
}
