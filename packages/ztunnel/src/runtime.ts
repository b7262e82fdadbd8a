/** What the process is started with: flags of V8 that can only be given then, or should be. */
import { COLLECT_GARBAGE_FLAG } from '@ambit/core/collect-garbage';

export const V8_FLAGS: readonly string[] = [
  // The control thread's share of memory for short-lived objects, in MiB: V8 would take 16.
  '--max-semi-space-size=1',
  COLLECT_GARBAGE_FLAG,
];
