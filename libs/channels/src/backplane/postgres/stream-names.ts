import { InvalidArgumentError, assertIdentifier } from '@nestbox/core';
import { quoteIdentifier } from '@nestbox/postgres';

const LONGEST_SUFFIX = '_position';

/** The names of a stream's table and of its functions, quoted and qualified. */
export class StreamNames {
  /** As the migrations and messages know it: `serverless.hub`. */
  readonly target: string;

  /** @throws InvalidArgumentError for a name that is no identifier, or leaves no room for the suffixes */
  constructor(
    readonly schema: string,
    readonly name: string,
  ) {
    assertIdentifier(schema, 'schema');
    assertIdentifier(name, 'name', 63 - LONGEST_SUFFIX.length);
    for (const [path, text] of Object.entries({ schema, name })) {
      // The names also stand inside function bodies, which end with this.
      if (text.includes('$function$')) throw new InvalidArgumentError(path, 'must not contain $function$.');
    }
    this.target = `${schema}.${name}`;
  }

  with(suffix: string): string {
    return `${quoteIdentifier(this.schema)}.${quoteIdentifier(this.name + suffix)}`;
  }
}
