import { describe, expect, test } from '@jest/globals';
import type { QueueBudget } from '@ambit/hbone/queue-budget';
import type { Transport, TransportEvents } from '@ambit/http/transport/transport';
import { BytePump } from './byte-pump.ts';

/** Tells of its own end as real ones do: after the call. */
class FakeTransport implements Transport {
  readonly lends = false;
  readonly peer = '';
  readonly localAddress = '';
  idle = true;
  isDestroyed = false;
  isEnded = false;
  written = '';
  events: TransportEvents | undefined;
  write(bytes: Uint8Array): void {
    this.written += Buffer.from(bytes).toString();
  }
  keep(): void {}
  credit(): void {}
  end(): void {
    this.isEnded = true;
  }
  start(events: TransportEvents): void {
    this.events = events;
  }
  leave(): void {
    this.destroy();
  }

  destroy(): void {
    if (this.isDestroyed) return;
    this.isDestroyed = true;
    queueMicrotask(() => this.events?.onClosed(undefined));
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

function pumpOf(over: { readonly budget?: Partial<QueueBudget>; readonly onFinished?: () => void } = {}) {
  const client = new FakeTransport();
  const endpoint = new FakeTransport();
  const faults: unknown[] = [];
  const finished: (string | undefined)[] = [];
  const budget = { add: () => undefined, remove: () => undefined, ...over.budget } as unknown as QueueBudget;
  const pump = new BytePump(client, endpoint, budget, {
    onFinished: (error) => {
      finished.push(error?.message);
      over.onFinished?.();
    },
    onFault: (error) => faults.push(error),
  });
  pump.start();
  return { client, endpoint, faults, finished, pump };
}

test('bytes go both ways, and an end lets what came before it out', () => {
  const { client, endpoint } = pumpOf();
  client.events?.onBytes(Buffer.from('up'));
  endpoint.events?.onBytes(Buffer.from('down'));
  client.events?.onEnd?.();
  expect([endpoint.written, client.written, endpoint.isEnded, client.isEnded]).toEqual([
    'up',
    'down',
    true,
    false,
  ]);
});

describe('a fault of ours cuts both sides, and is told', () => {
  const fault = new TypeError('x is undefined');
  const throws = () => {
    throw fault;
  };
  const cases: readonly (readonly [string, () => ReturnType<typeof pumpOf>])[] = [
    [
      'while bytes are moved',
      () => {
        const made = pumpOf();
        made.endpoint.write = throws;
        made.client.events?.onBytes(Buffer.from('up'));
        return made;
      },
    ],
    [
      'while they are counted',
      () => {
        const made = pumpOf({ budget: { add: throws } });
        made.endpoint.idle = false;
        made.client.events?.onBytes(Buffer.from('up'));
        return made;
      },
    ],
    [
      'when there is room again',
      () => {
        const made = pumpOf();
        made.endpoint.idle = false;
        made.client.events?.onBytes(Buffer.from('up'));
        made.endpoint.idle = true;
        made.client.credit = throws;
        made.endpoint.events?.onIdle();
        return made;
      },
    ],
    [
      'at an end',
      () => {
        const made = pumpOf();
        made.endpoint.end = throws;
        made.client.events?.onEnd?.();
        made.endpoint.end = () => undefined;
        return made;
      },
    ],
  ];
  test.each(cases)('%s', async (_, make) => {
    const { client, endpoint, faults, finished } = make();
    await settled();
    expect([client.isDestroyed, endpoint.isDestroyed]).toEqual([true, true]);
    expect([faults, finished]).toEqual([[fault], ['internal_error']]);
  });

  test('after all is over', async () => {
    const { client, endpoint, faults, finished } = pumpOf({ onFinished: throws });
    client.destroy();
    await settled();
    endpoint.destroy();
    await settled();
    expect([faults, finished]).toEqual([[fault], [undefined]]);
  });
});
