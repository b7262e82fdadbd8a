/**
 * The revocation lists of CRL_PATH for the workers: loaded at start, and again whenever the file changes.
 *
 * A file that is missing or broken changes nothing: whatever was in force stays.
 */
import { readFile } from 'node:fs/promises';
import type { Clock } from '@ambit/core/clock';
import { LimitError, messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import { watchFiles } from '@ambit/identity/file-watch';
import { parseRevocationLists } from '@ambit/identity/revocation-list';
import { CRL_POLL_INTERVAL_MS, MAX_CRL_BYTES } from '../limits.ts';
import type { ControlToWorker } from '../threads/messages.ts';

export interface RevocationOptions {
  readonly path: string;
  readonly workers: { broadcast(message: ControlToWorker): void };
  readonly clock: Clock;
  readonly log: Logger;
}

export async function followRevocations({
  path,
  workers,
  clock,
  log,
}: RevocationOptions): Promise<Disposable> {
  const load = async () => {
    try {
      const bytes = await readFile(path);
      if (bytes.length > MAX_CRL_BYTES) throw new LimitError(path, MAX_CRL_BYTES, 'bytes');
      const issuers = parseRevocationLists(bytes).size;
      workers.broadcast({ kind: 'revocations', bytes });
      log.info('CRL loaded', { path, issuers });
    } catch (error) {
      log.warn('CRL could not be loaded', { path, error: messageOf(error) });
    }
  };
  const watch = await watchFiles({
    paths: [path],
    periodMs: CRL_POLL_INTERVAL_MS,
    clock,
    changed: () => void load(),
  });
  await load();
  return watch;
}
