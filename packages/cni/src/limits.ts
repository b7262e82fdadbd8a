/** Every bound that this package sets itself; the unit is in the name. */

/** A node runs a few hundred pods; a list of rules or connections of one pod is far smaller than this. */
export const COMMAND_OUTPUT_MAX_BYTES = 16 * 1024 * 1024;
export const COMMAND_TIMEOUT_MS = 10_000;
/** A transaction that met another one is tried again this often in all. */
export const RULES_ATTEMPTS = 4;
export const RULES_RETRY_MS = 50;
/** Interfaces that one annotation may name. */
export const VIRTUAL_INTERFACES_MAX = 16;
