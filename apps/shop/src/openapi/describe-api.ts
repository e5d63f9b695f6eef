import type { NestExpressApplication } from '@nestjs/platform-express';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import { endpoints } from '../endpoints.js';
import { PROBLEM_ID } from './answers.js';
import { toSchema } from './to-schema.js';
import { problemView } from './views.js';

const DESCRIPTION =
  'A small shop on Nestbox. Entity tags are versions: conditions are exact. What is not well is a problem as ' +
  'RFC 9457 has it. `/ws` is a WebSocket, of which the README tells.';

type Operation = NonNullable<OpenAPIObject['paths'][string]['get']>;

const METHODS = ['get', 'put', 'post', 'delete'] as const;

/** What each route does, by its method and its path as OpenAPI writes it. */
const SUMMARIES = new Map(
  Object.entries(endpoints.endpoints).map(([request, text]) => [
    request.replace(/\?.*$/, '').replaceAll(/:(\w+)/g, '{$1}'),
    text,
  ]),
);

/** Problems that every route may answer with. */
const EVERYWHERE = {
  400: 'The request is not valid.',
  500: 'Something went wrong; it was logged.',
  503: 'Not now: try again in a moment.',
} as const;

/** And those of routes that take a body. */
const WITH_BODY = {
  413: 'The body is too large.',
  415: 'The body is no JSON.',
} as const;

/** Serves the document at `/openapi.json`, and a page to read and try it at `/docs`, from the package's own files. */
export function describeApi(app: NestExpressApplication): void {
  SwaggerModule.setup('docs', app, () => toDocument(app), {
    jsonDocumentUrl: 'openapi.json',
    raw: ['json'],
    customSiteTitle: 'The Nestbox shop: its API',
  });
}

function toDocument(app: NestExpressApplication): OpenAPIObject {
  const config = new DocumentBuilder()
    .setTitle('The Nestbox shop')
    .setDescription(DESCRIPTION)
    .setVersion('0.1.0')
    .build();
  const document = SwaggerModule.createDocument(app, config, {
    autoTagControllers: true,
    operationIdFactory: (controller, method) => `${controller.replace(/Controller$/, '')}_${method}`,
  });
  const components = (document.components ??= {});
  components.schemas = { ...components.schemas, [PROBLEM_ID]: toSchema(problemView, 'output') };
  for (const [path, item] of Object.entries(document.paths)) {
    for (const method of METHODS) {
      const operation = item[method];
      if (operation === undefined) continue;
      // The page and its files are no part of the API.
      if (operation.operationId?.startsWith('Page_') === true) delete item[method];
      else complete(operation, `${method.toUpperCase()} ${path}`);
    }
    if (METHODS.every((method) => item[method] === undefined)) delete document.paths[path];
  }
  return document;
}

/** Adds what the routes have in common, and what the decorators cannot say. */
function complete(operation: Operation, route: string): void {
  operation.summary = SUMMARIES.get(route) ?? '';
  const { requestBody: body } = operation;
  // What is assumed where there is none may be left out.
  if (body !== undefined && 'content' in body) {
    const { schema } = body.content['application/json'] ?? {};
    if (schema !== undefined && 'default' in schema) body.required = false;
  }
  const statuses = operation.requestBody === undefined ? EVERYWHERE : { ...EVERYWHERE, ...WITH_BODY };
  const schema = { $ref: `#/components/schemas/${PROBLEM_ID}` };
  for (const [status, description] of Object.entries(statuses)) {
    operation.responses[status] ??= { description, content: { 'application/problem+json': { schema } } };
  }
}
