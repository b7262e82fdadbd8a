/** Trying a transaction again that met another one, or whose program could not be started just then. */
import type { Clock } from '@ambit/core/clock';
import { RULES_ATTEMPTS, RULES_RETRY_MS } from '../limits.ts';
import { CommandError } from './errors.ts';

/** Another transaction may change what ours was made for, or hold the lock: read again, try again. */
export async function retried(clock: Clock, attempt: () => Promise<void>): Promise<void> {
  for (let left = RULES_ATTEMPTS - 1; ; left -= 1) {
    try {
      return await attempt();
    } catch (error) {
      if (left === 0 || !(error instanceof CommandError) || !isPassing(error)) throw error;
      await clock.sleep(RULES_RETRY_MS);
    }
  }
}

function isPassing(error: CommandError): boolean {
  return error.isHindered || isRace(error);
}

/** Whether what a program said is that of one which met another. */
export function isRace({ stderr }: CommandError): boolean {
  return /Resource temporarily unavailable|Device or resource busy|Interrupted|No such file|File exists|xtables lock|in use by a kernel component/i.test(
    stderr,
  );
}
