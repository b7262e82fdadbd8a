/** Whether ports of other pods can be reached: a connection each, with a limit of time, and nothing is sent. */
import { connect } from 'node:net';
import { codeOf, messageOf } from '@ambit/core/errors';
import { PREFLIGHT_REACH_TIMEOUT_MS } from '../limits.ts';

/** What became of each address: empty if it was reached. */
export type Reached = Readonly<Record<string, string>>;

export async function reach(addresses: readonly string[], port: number): Promise<Reached> {
  const outcomes = await Promise.all(
    addresses.map(async (address) => [address, await reachOne(address, port)] as const),
  );
  return Object.fromEntries(outcomes);
}

function reachOne(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: PREFLIGHT_REACH_TIMEOUT_MS });
    const end = (outcome: string) => {
      resolve(outcome);
      socket.destroy();
    };
    socket.once('connect', () => end(''));
    socket.once('timeout', () => end(`no answer within ${PREFLIGHT_REACH_TIMEOUT_MS / 1_000} s`));
    socket.once('error', (error) => end(codeOf(error) ?? messageOf(error)));
  });
}
