/** What this process may do, found by asking or by trying; what it may not, in words that say who must change what. */
import { readFileSync } from 'node:fs';
import { messageOf } from '@ambit/core/errors';
import { libc } from './libc.ts';
import { openNetns, runInNetns } from './netns.ts';
import { tcpSocket } from './sockets.ts';

const BITS = {
  CAP_DAC_OVERRIDE: 1,
  CAP_NET_ADMIN: 12,
  CAP_NET_RAW: 13,
  CAP_SYS_PTRACE: 19,
  CAP_SYS_ADMIN: 21,
} as const;
export type Capability = keyof typeof BITS;

/** Which of `needed` this process has not, by the effective set that `status` (proc(5)) shows. */
export function missingCapabilities(
  needed: readonly Capability[],
  status: string = readFileSync('/proc/thread-self/status', 'utf8'),
): readonly Capability[] {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  return needed.filter((name) => ((effective >> BigInt(BITS[name])) & 1n) === 0n);
}

/**
 * What a proxy for other namespaces needs and this process cannot do: enter a network namespace, and mark packets.
 * Tried for real, since a capability may be there and yet be worth nothing in a user namespace. Empty: all is well.
 */
export function missingForProxy(mark: number): readonly string[] {
  const problems: string[] = [];
  const attempt = (what: string, run: () => void) => {
    try {
      run();
    } catch (error) {
      problems.push(`${what}: ${messageOf(error)}`);
    }
  };
  attempt('enter a network namespace (CAP_SYS_ADMIN)', () => {
    using own = openNetns('/proc/thread-self/ns/net');
    runInNetns(own.fd, () => undefined);
  });
  attempt('mark packets (CAP_NET_ADMIN)', () => {
    libc.close(tcpSocket({ family: 4, mark }));
  });
  return problems;
}
