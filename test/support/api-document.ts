import { z } from 'zod';
import type { Reply } from './running-shop.js';

interface Parameter {
  in: string;
  name: string;
  required?: boolean;
  schema?: object;
}

export interface Operation {
  operationId: string;
  summary?: string;
  parameters?: Parameter[];
  requestBody?: { required?: boolean; content: Record<string, { schema: object }> };
  responses: Record<string, { description: string; content?: Record<string, { schema?: object }> }>;
}

/** An OpenAPI document, to look things up in. */
export class ApiDocument {
  constructor(
    readonly json: {
      openapi: string;
      info: { title: string; version: string };
      paths: Record<string, Record<string, Operation>>;
      components: { schemas: Record<string, object> };
    },
  ) {}

  /** Each as `GET /products/{id}`. */
  get operations(): Map<string, Operation> {
    return new Map(
      Object.entries(this.json.paths).flatMap(([path, item]) =>
        Object.entries(item).map(([method, operation]) => [`${method.toUpperCase()} ${path}`, operation]),
      ),
    );
  }

  /** What every `$ref` in it refers to. */
  get references(): string[] {
    const found: string[] = [];
    JSON.stringify(this.json, (key, value: unknown) => {
      if (key === '$ref') found.push(String(value));
      return value;
    });
    return found;
  }

  resolve(reference: string): unknown {
    const steps = reference.replace(/^#\//, '').split('/');
    return steps.reduce<unknown>(
      (value, step) => (value as Record<string, unknown> | undefined)?.[step],
      this.json,
    );
  }

  /** The operation of a request; the one with most of the path to the letter. */
  operationOf(method: string, path: string): [string, Operation] {
    const candidates = [...this.operations].filter(([name]) => {
      const [of, template] = name.split(' ') as [string, string];
      const form = template.replaceAll(/\{\w+\}/g, '[^/]+');
      return of === method && new RegExp(`^${form}$`).test(path.replace(/\?.*$/, ''));
    });
    const [best] = candidates.toSorted(([a], [b]) => a.split('{').length - b.split('{').length);
    if (best === undefined) throw new Error(`The document does not have ${method} ${path}.`);
    return best;
  }

  /** What is wrong with an answer, by the document; empty for nothing. */
  faultsOf(method: string, path: string, { status, headers, json, text }: Reply): string[] {
    const [name, { responses }] = this.operationOf(method, path);
    const response = responses[status];
    if (response === undefined) return [`${name} has no ${status}`];
    if (response.content === undefined) return text === '' ? [] : [`${name} ${status} has no body`];
    const type = headers.get('content-type')?.replace(/;.*$/, '') ?? '';
    const schema = response.content[type]?.schema;
    if (schema === undefined) return [`${name} ${status} has no ${type}`];
    const parsed = this.toZod(schema).safeParse(json);
    return parsed.success
      ? []
      : parsed.error.issues.map((issue) => `${name} ${status}: ${JSON.stringify(issue)}`);
  }

  private toZod(schema: object): z.ZodType {
    const definitions = this.json.components.schemas;
    const text = JSON.stringify({ ...schema, definitions }).replaceAll(
      '#/components/schemas/',
      '#/definitions/',
    );
    return z.fromJSONSchema(JSON.parse(text) as Parameters<typeof z.fromJSONSchema>[0], {
      defaultTarget: 'openapi-3.0',
    });
  }
}
