import { expect, test } from '@jest/globals';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import type { RunCommand } from '../rules/command.ts';
import type { HostRules } from '../rules/render-host.ts';
import { NftHostProbes } from './host-probes.ts';

const IP = '10.0.0.1';
const FIRST = '11111111-1111-4111-8111-111111111111';
const SECOND = '22222222-2222-4222-8222-222222222222';

/** What nft was told, each call held until the test lets it go. */
function probes() {
  const scripts: string[] = [];
  const held: (() => void)[] = [];
  const run: RunCommand = ({ stdin }) => {
    scripts.push(stdin ?? '');
    return new Promise((resolve) => held.push(() => resolve({ exitCode: 0, stdout: '', stderr: '' })));
  };
  const rules: HostRules = { ipv6: true, probeSources: { v4: '169.254.7.127', v6: 'fd16:9254:7127::1' } };
  const log = { warn: () => undefined };
  return {
    of: new NftHostProbes({ run, clock: new FakeClock(), hostNetnsFd: 0, rules, log }),
    scripts,
    held,
  };
}

test('a pod that goes does not take the address of its successor, whose turn comes meanwhile', async () => {
  const { of, scripts, held } = probes();
  const next = async () => {
    for (let i = 0; i < 10; i++) await Promise.resolve();
    held.shift()?.();
  };
  const first = of.add([{ uid: FIRST, ip: IP }]);
  await next();
  await first;
  const removed = of.remove(FIRST, [IP]);
  const added = of.add([{ uid: SECOND, ip: IP }]);
  // The second change is not begun before the first is through.
  for (let i = 0; i < 10; i++) await Promise.resolve();
  expect(scripts).toHaveLength(2);
  await next();
  await removed;
  await next();
  await added;
  expect(scripts).toHaveLength(3);
  // It is the successor's now.
  await of.remove(FIRST, [IP]);
  expect(scripts).toHaveLength(3);
});
