/** A pod that does nothing until somebody runs something in its namespace. */
globalThis.setInterval(() => undefined, 60_000);
process.once('SIGTERM', () => process.exit(0));
