/** Fields that nobody outside may fill in for another: an authorizing service, or a token. */

/** Fields that belong to one message or one connection, and that no service may change for another. */
const NOT_FOR_OTHERS: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

export function isForOthers(name: string): boolean {
  return !name.startsWith(':') && !NOT_FOR_OTHERS.has(name);
}
