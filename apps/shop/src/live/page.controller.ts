import { readFile } from 'node:fs/promises';
import { Controller, Get, Req, Res } from '@nestjs/common';
import type { Request, Response } from 'express';
import { endpoints } from '../endpoints.js';

const PUBLIC = new URL('../../public/', import.meta.url);

/** The page that shows the shop live; for programs that ask for JSON, what there is. */
@Controller()
export class PageController {
  @Get()
  async index(@Req() request: Request, @Res() response: Response): Promise<void> {
    response.vary('Accept');
    if (request.accepts(['html', 'json']) === 'json') {
      response.json(endpoints);
      return;
    }
    await send(response, 'index.html', 'html');
  }

  @Get('page.js')
  async script(@Res() response: Response): Promise<void> {
    await send(response, 'page.js', 'js');
  }

  @Get('cart.js')
  async cart(@Res() response: Response): Promise<void> {
    await send(response, 'cart.js', 'js');
  }

  @Get('orders.js')
  async orders(@Res() response: Response): Promise<void> {
    await send(response, 'orders.js', 'js');
  }

  @Get('sales.js')
  async sales(@Res() response: Response): Promise<void> {
    await send(response, 'sales.js', 'js');
  }

  @Get('live.js')
  async live(@Res() response: Response): Promise<void> {
    await send(response, 'live.js', 'js');
  }

  @Get('style.css')
  async style(@Res() response: Response): Promise<void> {
    await send(response, 'style.css', 'css');
  }
}

async function send(response: Response, file: string, type: string): Promise<void> {
  response
    .type(type)
    .set('Cache-Control', 'no-cache')
    .send(await readFile(new URL(file, PUBLIC)));
}
