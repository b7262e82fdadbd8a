import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { createSelfSignedCa } from '@ambit/identity/self-signed-ca';
import { certificateMessage } from '../control/certificates.ts';
import { warmUpMessage } from '../control/warm-up.ts';
import type { WarmUpMessage } from '../threads/messages.ts';
import { OPTIONS } from '../testing/worker-network.ts';
import { WARM_UP_HELD_CONNECTIONS, WARM_UP_LIFE_CONNECTIONS } from './limits.ts';
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
    tierUpEarly: () => ({ [Symbol.dispose]: () => undefined }),
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
    await run(message, message.meshes.length * WARM_UP_LIFE_CONNECTIONS + 1);
    expect(await restingFds()).toBe(fds);
    expect(interfaces()).toBe(before);
  });

  test('collects garbage once, when all is warm and some connections are there', async () => {
    const message = await warmUpMessage('', systemClock);
    const openWith = async (connections: number) => {
      const open: number[] = [];
      await run(message, connections, { collectGarbage: () => open.push(openFds()) });
      expect(open).toHaveLength(1);
      return (open[0] ?? 0) - (await restingFds());
    };
    await openWith(2);
    const ofFew = await openWith(10);
    // Two tunnel ends; for each connection the pod's own end, the proxy's, the one that it opens, and the application's.
    expect(ofFew).toBeGreaterThanOrEqual(2 + WARM_UP_HELD_CONNECTIONS * 4);
    expect(await openWith(WARM_UP_LIFE_CONNECTIONS + 1)).toBe(ofFew);
  });

  test('has V8 take functions for hot early until it rests, or until it fails', async () => {
    const message = await warmUpMessage('', systemClock);
    const said: string[] = [];
    const over = {
      tierUpEarly: () => ({ [Symbol.dispose]: () => said.push('as usual') }),
      collectGarbage: () => said.push('garbage'),
    };
    await run(message, 60, over);
    expect(said.slice(0, 2)).toEqual(['as usual', 'garbage']);
    said.length = 0;
    const nobody = { ...message, application: { ...message.application, port: 8_081 } };
    await expect(run(nobody, 60, over)).rejects.toThrow('ECONNRESET');
    expect(said).toEqual(['garbage', 'as usual']);
  });

  test('collects nothing on a thread that carries connections', async () => {
    const message = await warmUpMessage('', systemClock);
    let collected = 0;
    await run(message, 4, { isIdle: () => false, collectGarbage: () => (collected += 1) });
    expect(collected).toBe(0);
  });

  test.each([0, 50, 400, 700])(
    'ends when the thread drains after %d ms, says so, and leaves nothing behind',
    async (ms) => {
      const message = await warmUpMessage('', systemClock);
      await run(message, 2);
      const fds = await restingFds();
      const draining = new AbortController();
      let collected = 0;
      let early = 0;
      const running = run(message, 100_000, {
        signal: draining.signal,
        collectGarbage: () => (collected += 1),
        tierUpEarly: () => {
          early += 1;
          return { [Symbol.dispose]: () => (early -= 1) };
        },
      });
      setTimeout(() => draining.abort(new Error('the proxy is stopping')), ms);
      await expect(running).rejects.toThrow('the proxy is stopping');
      expect(await restingFds()).toBe(fds);
      expect({ collected, early }).toEqual({ collected: 0, early: 0 });
    },
  );

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
