/** For tests: waits for what happens in its own time. */
import type { Duplex } from 'node:stream';

/** Resolves when it is gone, however it ended. */
export function closed(duplex: Duplex): Promise<void> {
  duplex.on('error', () => undefined);
  if (duplex.closed) return Promise.resolve();
  return new Promise((resolve) => void duplex.once('close', () => resolve()));
}

export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let i = 0; i < 5_000; i++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`waited in vain until ${what}`);
}
