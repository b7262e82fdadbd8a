/** What crosses a node's link to the switch, as a pcap file. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Clock } from '@ambit/core/clock';
import { MeshError } from '@ambit/core/errors';
import type { LabNetwork, LabNode } from './network/nodes.ts';

/** More is cut off, not kept. */
const MAX_CAPTURE_BYTES = 64 * 1024 * 1024;
const START_TIMEOUT_MS = 5_000;

/** tcpdump does not do what it should. */
export class CaptureError extends MeshError {
  readonly code = 'CAPTURE';
  readonly side = 'internal';
}

export interface CaptureOptions {
  readonly network: LabNetwork;
  readonly node: LabNode;
  /** In tcpdump's language; empty for everything. */
  readonly filter: string;
  readonly ms: number;
  readonly clock: Clock;
}

/** @throws {@link CaptureError} with what tcpdump said. */
export async function capture(
  { network, node, filter, ms, clock }: CaptureOptions,
  signal: AbortSignal,
): Promise<Buffer> {
  const args = [
    'netns',
    'exec',
    network.switchNamespace,
    'tcpdump',
    '-i',
    node.switchPort,
    '-U',
    // The kernel otherwise hands packets over by the second, and the last of them never.
    '--immediate-mode',
    // In a user namespace there is no other user to become.
    ...['-Z', 'root'],
    '-s',
    '0',
    '-w',
    '-',
  ];
  const words = filter.split(' ').filter((word) => word !== '');
  const child = spawn('ip', [...args, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  const chunks: Buffer[] = [];
  let size = 0;
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= MAX_CAPTURE_BYTES) chunks.push(chunk);
  });
  const ended = once(child, 'close');
  const listening = new Promise<void>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => reject(new CaptureError(`tcpdump on ${node.switchPort}: ${said.trim()}`)));
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      if (said.includes('listening on')) resolve();
    });
  });
  const started = new AbortController();
  try {
    const late = clock.sleep(START_TIMEOUT_MS, started.signal).then(
      () => Promise.reject(new CaptureError('tcpdump does not start')),
      () => undefined,
    );
    await Promise.race([listening, late]);
    started.abort();
    signal.throwIfAborted();
    await clock.sleep(ms, signal);
  } finally {
    started.abort();
    child.kill('SIGINT');
    await ended;
  }
  return Buffer.concat(chunks);
}
