import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { createSelfSignedCa } from '@ambit/identity/self-signed-ca';
import { certificateMessage } from '../control/certificates.ts';
import { warmUpMessage } from '../control/warm-up.ts';
import type { WarmUpMessage } from '../threads/messages.ts';
import { OPTIONS } from '../testing/worker-network.ts';
import { warmUp, type WarmUpDeps } from './warm-up.ts';

const openFds = () => readdirSync('/proc/self/fd').length;
/** When what is about to be closed is closed: they have been as many for a while. */
async function restingFds(): Promise<number> {
  let fds = openFds();
  for (let calm = 0; calm < 20; calm += 1) {
    await systemClock.sleep(10);
    if (openFds() !== fds) calm = 0;
    fds = openFds();
  }
  return fds;
}
const interfaces = () => readFileSync('/proc/thread-self/net/dev', 'utf8');

async function run(
  message: WarmUpMessage,
  connections: number,
  over: Partial<WarmUpDeps> = {},
): Promise<void> {
  const deps: WarmUpDeps = {
    options: OPTIONS,
    clock: systemClock,
    random: systemRandom,
    signal: new AbortController().signal,
    isIdle: () => true,
    collectGarbage: () => undefined,
    ...over,
  };
  await warmUp({ ...message, connections }, deps);
}

describe('a warm-up', () => {
  test('reaches its application by every target, and leaves nothing behind', async () => {
    const message = await warmUpMessage('', systemClock);
    await run(message, 2);
    const before = interfaces();
    const fds = await restingFds();
    await run(message, 40);
    expect(await restingFds()).toBe(fds);
    expect(interfaces()).toBe(before);
  });

  test('collects garbage once, when all is warm and a connection by every target is there', async () => {
    const message = await warmUpMessage('', systemClock);
    const openWith = async (targets: WarmUpMessage['targets']) => {
      const open: number[] = [];
      await run({ ...message, targets }, 10, { collectGarbage: () => open.push(openFds()) });
      await restingFds();
      expect(open).toHaveLength(1);
      return open[0] ?? 0;
    };
    await openWith(message.targets);
    const [byOne, byAll] = [await openWith(message.targets.slice(0, 1)), await openWith(message.targets)];
    // The pod's own end, the proxy's, the one that it opens to the application, and the application's.
    expect(byAll - byOne).toBe(4 * (message.targets.length - 1));
  });

  test('collects nothing on a thread that carries connections', async () => {
    const message = await warmUpMessage('', systemClock);
    let collected = 0;
    await run(message, 4, { isIdle: () => false, collectGarbage: () => (collected += 1) });
    expect(collected).toBe(0);
  });

  test('ends when the thread drains, says so, and leaves nothing behind', async () => {
    const message = await warmUpMessage('', systemClock);
    await run(message, 2);
    const fds = await restingFds();
    const draining = new AbortController();
    let collected = 0;
    const running = run(message, 100_000, {
      signal: draining.signal,
      collectGarbage: () => (collected += 1),
    });
    setTimeout(() => draining.abort(new Error('the proxy is stopping')), 50);
    await expect(running).rejects.toThrow('the proxy is stopping');
    expect(await restingFds()).toBe(fds);
    expect(collected).toBe(0);
  });

  test.each<readonly [string, (message: WarmUpMessage) => WarmUpMessage | Promise<WarmUpMessage>, string]>([
    [
      'whose certificate is of somebody else',
      async (message) => {
        const ca = await createSelfSignedCa({ clock: systemClock });
        const other = await ca.issueWorkload('spiffe://warm-up.invalid/ns/other/sa/other', 60_000);
        return {
          ...message,
          certificate: { ...certificateMessage(other), identity: message.certificate.identity },
        };
      },
      'ECONNRESET',
    ],
    [
      'whose application does not listen where it is expected',
      (message) => ({ ...message, application: { ...message.application, port: 8_081 } }),
      'ECONNRESET',
    ],
  ])('%s says so, and leaves nothing behind', async (_, change, problem) => {
    const message = await warmUpMessage('', systemClock);
    const changed = await change(message);
    await run(message, 2);
    const fds = await restingFds();
    await expect(run(changed, 10)).rejects.toThrow(problem);
    expect(await restingFds()).toBe(fds);
  });
});
