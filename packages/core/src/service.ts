/** The lifecycle that everything long-lived shares, and the one place that knows how a stop ends. */
import type { Clock } from './clock.ts';

export interface Service extends AsyncDisposable {
  /** Short and stable: names the log scope and the readiness check. */
  readonly name: string;

  /**
   * Binds, connects, and resolves once serving.
   *
   * @param signal - Abandons a start still under way; has no effect afterwards.
   */
  start(signal: AbortSignal): Promise<void>;

  /** Stops accepting; resolves when the last unit of work ends. Idempotent, never rejects. */
  drain(): Promise<void>;
}

/** How a stop went: `forced` means that live work was cut off. */
export type StopOutcome = 'drained' | 'forced';

/** Drains `service` for at most `deadlineMs` milliseconds, then disposes of it either way. */
export async function stop(service: Service, deadlineMs: number, clock: Clock): Promise<StopOutcome> {
  await using _ = service;
  const abort = new AbortController();
  const drained = service.drain().then(() => 'drained' as const);
  const expired = clock.sleep(deadlineMs, abort.signal).then(
    () => 'forced' as const,
    () => 'drained' as const,
  );
  const outcome = await Promise.race([drained, expired]);
  abort.abort();
  return outcome;
}
