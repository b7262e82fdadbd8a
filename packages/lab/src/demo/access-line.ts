/** Reads a ztunnel's access log: `key=value` pairs behind tabs, strings in quotes. Pure. */
import type { LoggedConnection } from './world.ts';

const PAIR = /([\w.]+)=(?:"((?:[^"\\]|\\.)*)"|(\S+))/g;

/** `undefined` for any other line. */
export function parseAccessLine(line: string): Omit<LoggedConnection, 'node'> | undefined {
  const [, , scope, message, pairs = ''] = line.split('\t');
  if (scope !== 'access' || message !== 'connection complete') return undefined;
  const fields = new Map(
    [...pairs.matchAll(PAIR)].map(([, name = '', quoted, bare]) => [name, quoted ?? bare ?? '']),
  );
  const direction = fields.get('direction');
  if (direction !== 'inbound' && direction !== 'outbound') return undefined;
  return {
    direction,
    source: fields.get('src.addr') ?? '',
    destination: fields.get('dst.addr') ?? '',
    sourceIdentity: fields.get('src.identity'),
    destinationIdentity: fields.get('dst.identity'),
  };
}
