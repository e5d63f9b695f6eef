import { type ArgumentMetadata, Injectable, StandardSchemaValidationPipe } from '@nestjs/common';
import { plainIssues, type SchemaIssue } from './issues.js';
import { type Fault, ProblemError, validationProblem } from './problem.js';

const PLACES: Record<ArgumentMetadata['type'], Fault['in']> = {
  body: 'body',
  query: 'query',
  param: 'path',
  custom: 'header',
};

/**
 * Validates what a handler declares a schema for, as in `@Body({ schema })`. Unlike the pipe it extends it
 * answers with every fault's place and path, for programs, besides the sentence for people.
 */
@Injectable()
export class SchemaPipe extends StandardSchemaValidationPipe {
  override async transform<T>(value: T, metadata: ArgumentMetadata): Promise<T> {
    const { schema } = metadata;
    if (schema === undefined || !this.toValidate(metadata)) return value;
    this.stripProtoKeys(value);
    const result = await this.validate<T>(value, schema);
    if (result.issues === undefined) return result.value;
    throw new ProblemError(validationProblem(toFaults(result.issues, value, metadata)));
  }
}

function toFaults(issues: readonly SchemaIssue[], value: unknown, { type, data }: ArgumentMetadata): Fault[] {
  const place = PLACES[type];
  if (type === 'body' && value === undefined) {
    return [{ in: place, path: place, message: 'is missing; send it as JSON.' }];
  }
  return plainIssues(issues, data).map(({ path, message }) => ({
    in: place,
    path: path === '' ? place : path,
    message,
  }));
}
