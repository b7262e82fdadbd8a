/** A line of a program's log, with its time in the form of the proxies' logs: they are read side by side. */
import { systemClock } from '@ambit/core/clock';

export function report(line: string): void {
  process.stdout.write(`${new Date(systemClock.now()).toISOString()} ${line}\n`);
}

/** How long it takes from now on, in whole milliseconds. */
export function stopwatch(): () => number {
  const beganMs = systemClock.monotonicMs();
  return () => Math.round(systemClock.monotonicMs() - beganMs);
}
