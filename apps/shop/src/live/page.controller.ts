import { Controller, Get, Param, Req, Res } from '@nestjs/common';
import type { Request, Response } from 'express';
import { endpoints } from '../endpoints.js';
import { notFound } from '../http/problem.js';
import { encodingFor, type PageFile, PageFiles } from './page-files.js';

/**
 * Only what comes from here runs, and talks, and only to here. Nothing is turned into https: whether there is any is for
 * the proxy in front to say.
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ');

/** The page that shows the shop live; for programs that ask for JSON, what there is. */
@Controller()
export class PageController {
  constructor(private readonly files: PageFiles) {}

  @Get()
  async index(@Req() request: Request, @Res() response: Response): Promise<void> {
    response.vary('Accept');
    if (request.accepts(['html', 'json']) === 'json') {
      response.json(endpoints);
      return;
    }
    response.set('Content-Security-Policy', POLICY);
    await this.send(request, response, await this.files.index());
  }

  @Get('page/:file')
  async asset(
    @Param('file') name: string,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    const file = await this.files.find(name);
    if (file === undefined) throw notFound('file', name);
    await this.send(request, response, file);
  }

  /**
   * Asked for each time and sent only when it has changed, so that the parts of the page are always of one version.
   * Compressed for whoever takes it so, under a tag of its own.
   */
  private async send(request: Request, response: Response, file: PageFile): Promise<void> {
    const encoding = encodingFor(request.acceptsEncodings());
    response.vary('Accept-Encoding').type(file.type);
    response.set({
      ETag: `"${file.hash}${encoding === undefined ? '' : `-${encoding}`}"`,
      'Cache-Control': 'no-cache',
    });
    if (request.fresh) {
      response.status(304).end();
      return;
    }
    if (encoding !== undefined) response.set('Content-Encoding', encoding);
    response.send(encoding === undefined ? file.content : await this.files.compress(file, encoding));
  }
}
