/** Which cipher a TLS 1.3 handshake on the link chose: read from a ServerHello, which is in clear. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import type { Topology } from './topology.ts';

const NAMES: Readonly<Record<number, string>> = {
  4865: 'AES-128-GCM',
  4866: 'AES-256-GCM',
  4867: 'CHACHA20',
};

/** Captures while `handshake` runs; `none seen` if no ServerHello crossed the link. */
export async function cipherDuring(topology: Topology, handshake: () => Promise<unknown>): Promise<string> {
  const file = `/tmp/ambit-bench-${process.pid}.pcap`;
  const where = `netns exec ${topology.client} tcpdump -i ${topology.clientInterface}`;
  const how = `-U -s 400 -Z root --immediate-mode -w ${file} tcp src port 15008`;
  const capture = spawn('ip', `${where} ${how}`.split(' '), { stdio: ['ignore', 'ignore', 'pipe'] });
  const closed = once(capture, 'close');
  await once(capture.stderr, 'data');
  await handshake();
  await new Promise((resolve) => setTimeout(resolve, 300));
  capture.kill('SIGINT');
  await closed;
  const cipher = cipherIn(readFileSync(file));
  rmSync(file, { force: true });
  return cipher;
}

/** A handshake record (0x16 03 03) whose message is a ServerHello (0x02) of version 03 03, RFC 8446 §4.1.3. */
function cipherIn(capture: Buffer): string {
  for (let at = capture.indexOf('160303', 0, 'hex'); at >= 0; at = capture.indexOf('160303', at + 1, 'hex')) {
    if (capture[at + 5] !== 2 || capture[at + 9] !== 3 || capture[at + 10] !== 3) continue;
    const sessionLength = capture[at + 43] ?? 0;
    const suite = at + 44 + sessionLength;
    if (suite + 2 <= capture.length)
      return NAMES[capture.readUInt16BE(suite)] ?? `suite ${capture.readUInt16BE(suite)}`;
  }
  return 'none seen';
}
