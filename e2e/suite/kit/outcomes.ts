/** What suites read in the outcomes of requests, and how they ask for many. */
import type { RequestOutcome } from '../../echo/messages.ts';

/** Whether the request went through a proxy that reads requests: only such a one adds an id. */
export function wasReadOnTheWay(outcome: RequestOutcome): boolean {
  return outcome.ok && outcome.server?.headers?.['x-request-id'] !== undefined;
}

/** Who answered; `undefined` if nobody did, or did not say. */
export function podOf(outcome: RequestOutcome): string | undefined {
  return outcome.ok ? outcome.server?.pod : undefined;
}

/** One after another. */
export async function inTurn<T>(count: number, act: (index: number) => Promise<T>): Promise<readonly T[]> {
  const all: T[] = [];
  for (let i = 0; i < count; i++) all.push(await act(i));
  return all;
}
