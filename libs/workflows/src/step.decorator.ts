import { InvalidArgumentError, assertName } from '@nestbox/core';
import { place } from './engine/ambient.js';
import type { StepOptions } from './workflow.types.js';

/** Options of `@Step`. */
export interface StepDecoratorOptions extends Omit<StepOptions, 'compensate'> {
  /** What the step is called. Default: the class and the method, as `PaymentService.charge`. */
  name?: string;
}

type Method = (this: unknown, ...args: unknown[]) => unknown;

/**
 * Makes a method of an injected service a step of the run that calls it: done once, and given back from what is recorded
 * afterwards. Outside of a run, and inside of another step, it is a method like any other.
 *
 * @throws InvalidArgumentError
 */
export function Step(options: StepDecoratorOptions = {}): MethodDecorator {
  if (options.name !== undefined) assertName(options.name, 'name');
  return (target, key, descriptor) => {
    const method: unknown = descriptor.value;
    if (typeof method !== 'function') throw new InvalidArgumentError('@Step', `${String(key)} is no method.`);
    const { name = `${target.constructor.name}.${String(key)}`, ...rest } = options;
    const original = method as Method;
    const step: Method = function step(...args) {
      const at = place.getStore();
      if (at === undefined || at.isInStep) return original.apply(this, args);
      return at.context.step(name, rest, async () => original.apply(this, args));
    };
    Object.defineProperty(step, 'name', { value: original.name });
    // What other decorators have noted of the method stays.
    for (const metadataKey of Reflect.getMetadataKeys(original) as unknown[]) {
      Reflect.defineMetadata(metadataKey, Reflect.getMetadata(metadataKey, original), step);
    }
    Object.assign(descriptor, { value: step });
  };
}
