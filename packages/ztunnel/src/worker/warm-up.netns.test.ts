import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { createSelfSignedCa } from '@ambit/identity/self-signed-ca';
import { certificateMessage } from '../control/certificates.ts';
import { warmUpMessage } from '../control/warm-up.ts';
import type { WarmUpMessage } from '../threads/messages.ts';
import { OPTIONS } from '../testing/worker-network.ts';
import { warmUp } from './warm-up.ts';

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
  collectGarbage: () => void = () => undefined,
): Promise<void> {
  const deps = { options: OPTIONS, clock: systemClock, random: systemRandom, collectGarbage };
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

  test('collects garbage once, when all is warm and connections by every target are there', async () => {
    const message = await warmUpMessage('', systemClock);
    await run(message, 2);
    const fds = await restingFds();
    const open: number[] = [];
    await run(message, 10, () => open.push(openFds()));
    expect(open).toHaveLength(1);
    // Of each, the pod's own end, the one at the proxy's, and the application's with its end in the proxy.
    expect(open[0]).toBeGreaterThanOrEqual(fds + 4 * message.targets.length);
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
