import { ChannelModule } from '@nestbox/channels';
import type { ModuleMetadata } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';

/** Starts an application, with channels in memory unless it brings others. */
export async function startApp(
  { imports = [], ...metadata }: ModuleMetadata,
  channels = ChannelModule.forRoot({ store: 'memory' }),
): Promise<TestingModule> {
  const moduleRef = await Test.createTestingModule({
    imports: [channels, ...imports],
    ...metadata,
  }).compile();
  return moduleRef.init();
}
