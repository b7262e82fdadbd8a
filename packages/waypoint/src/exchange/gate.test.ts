import { expect, test } from '@jest/globals';
import type { RequestView } from '../decide/request-view.ts';
import type { PortConfig } from '../resources/snapshot.ts';
import type { ExchangeContext } from './context.ts';
import { Gate, type GateHost } from './gate.ts';
import { INTERNAL_ERROR, type Refusal } from './refusal.ts';

test('a fault where a wait begins refuses the request, and nothing else', async () => {
  const faults: unknown[] = [];
  const context = {
    security: { authenticate: () => new Promise(() => undefined) },
    faults: { tell: (_: string, error: unknown) => faults.push(error) },
  } as unknown as ExchangeContext;
  const config = { authentication: [{}] } as unknown as PortConfig;
  const view: RequestView = {
    method: 'GET',
    scheme: 'http',
    authority: 'web',
    path: '/',
    fields: [],
    version: '1.1',
  };
  const fault = new Error('no such route');
  const refused = await new Promise<Refusal>((resolve) => {
    const host = {
      waits: () => {
        throw fault;
      },
      refused: resolve,
      resume: (goOn: () => void) => goOn(),
    } as unknown as GateHost;
    new Gate(context, {} as never, config, view, host).start();
  });
  expect([refused, faults]).toEqual([INTERNAL_ERROR, [fault]]);
});
