/** What the process is started with: flags of V8 that can only be given then, or should be. */

export const V8_FLAGS: readonly string[] = [
  // Room for short-lived objects in MiB.
  '--max-semi-space-size=4',
  // By how many percent the rest may grow before garbage is looked for.
  '--heap-growing-percent=100',
];
