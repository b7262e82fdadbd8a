/** Settings of V8 that can only be given at the start of a process; what each of them costs and gives is in docs/operate/performance.md. */

/** Room for short-lived objects in MiB: every request makes some, and they die with it. */
const SEMI_SPACE_MIB = 32;

export const V8_FLAGS: readonly string[] = [`--max-semi-space-size=${SEMI_SPACE_MIB}`];
