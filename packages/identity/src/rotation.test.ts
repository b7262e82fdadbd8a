import { once } from 'node:events';
import { type AddressInfo, connect as connectTcp, createServer } from 'node:net';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { expect, test } from '@jest/globals';
import { systemRandom } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { CertificateStore } from './certificate-store.ts';
import { advance, announce } from './root-rotation.ts';
import { createSelfSignedCa } from './self-signed-ca.ts';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { clientTlsOptions, serverTlsOptions, verifyClientPeer, verifyServerPeer } from './tls-context.ts';

const ALICE = 'spiffe://td/ns/shop/sa/alice';
const BOB = 'spiffe://td/ns/shop/sa/bob';
const DAY_MS = 86_400_000;
const never = new AbortController().signal;

test('open connections outlive the rotation of leaf and root, and new ones use the new', async () => {
  const clock = new FakeClock(Date.now() - 2 * DAY_MS);
  const ca = await createSelfSignedCa({ clock, defaultTtlMs: 10 * DAY_MS });
  const fetch = (identity: string) => ca.issueWorkload(identity);
  using store = new CertificateStore({ fetch, clock, random: systemRandom, log: silentLogger });

  const accepted: (string | undefined)[] = [];
  const listener = createServer(async (socket) => {
    const certificate = await store.get(BOB, 'real-time', never);
    const tls = new TLSSocket(socket, { isServer: true, ...serverTlsOptions(certificate) });
    await once(tls, 'secure');
    const verdict = verifyClientPeer(tls, ['td']);
    accepted.push(verdict.ok ? verdict.identity : verdict.reason);
    if (verdict.ok) tls.pipe(tls);
    else tls.destroy();
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');

  const open = async () => {
    const socket = connectTcp((listener.address() as AddressInfo).port, '127.0.0.1');
    const tls = connectTls({ socket, ...clientTlsOptions(await store.get(ALICE, 'real-time', never)) });
    await once(tls, 'secureConnect');
    expect(verifyServerPeer(tls, [BOB])).toMatchObject({ ok: true, identity: BOB });
    return { tls, serial: tls.getPeerX509Certificate()?.serialNumber };
  };
  const echo = async (tls: TLSSocket, text: string) => {
    tls.write(text);
    const [answer] = (await once(tls, 'data')) as [Buffer];
    return answer.toString();
  };

  const old = await open();
  expect(await echo(old.tls, 'before')).toBe('before');
  const announced = await announce({ material: ca.material, phase: { kind: 'steady' } }, {}, clock);
  for (const { material } of [announced, advance(announced, clock.now())]) {
    ca.use(material);
    const renewed = new Promise<void>((resolve) => {
      const left = new Set([ALICE, BOB]);
      const subscription = store.subscribe((event) => {
        if (event.kind === 'available') left.delete(event.certificate.identity);
        if (left.size > 0) return;
        subscription[Symbol.dispose]();
        resolve();
      });
    });
    for (const { identity } of store.states()) {
      store.forget(identity);
      store.prefetch(identity);
    }
    await renewed;
  }
  const fresh = await open();
  expect(fresh.serial).not.toBe(old.serial);
  expect(await echo(old.tls, 'after')).toBe('after');
  expect(await echo(fresh.tls, 'new')).toBe('new');
  expect(accepted).toEqual([ALICE, ALICE]);
  for (const { tls } of [old, fresh]) tls.destroy();
  listener.close();
});
