/** Waits for what real sockets bring, in real time, with an end. */
import { setTimeout as sleep } from 'node:timers/promises';

export async function eventually(what: string, holds: () => boolean): Promise<void> {
  for (let i = 0; i < 10_000; i++) {
    if (holds()) return;
    await sleep(2);
  }
  throw new Error(`never: ${what}`);
}

/** Long enough for whatever is on its way on a local socket to have arrived. */
export async function settled(): Promise<void> {
  await sleep(20);
}
