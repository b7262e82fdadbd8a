/** Lines of ztunnel's access log, as what they say. */

export interface AccessLine {
  /** By the clock of the proxy's node: when the connection had ended. */
  readonly atMs: number;
  readonly level: string;
  readonly message: string;
  /** `src.addr`, `dst.identity`, `direction` and the rest, without quotes. */
  readonly fields: Readonly<Record<string, string>>;
}

export function parseAccessLog(text: string): readonly AccessLine[] {
  return text
    .split('\n')
    .map((line) => line.split('\t'))
    .filter((parts) => parts[2]?.startsWith('access'))
    .map(([time = '', level = '', , message = '', rest = '']) => ({
      atMs: Date.parse(time),
      level,
      message,
      fields: Object.fromEntries(
        [...rest.matchAll(/([\w.]+)=(?:"((?:[^"\\]|\\.)*)"|(\S+))/g)].map(([, key = '', quoted, bare]) => [
          key,
          quoted ?? bare ?? '',
        ]),
      ),
    }));
}

export function linesWith(
  lines: readonly AccessLine[],
  want: Readonly<Record<string, string | RegExp>>,
): readonly AccessLine[] {
  return lines.filter(({ fields }) =>
    Object.entries(want).every(([key, match]) => {
      const value = fields[key] ?? '';
      return typeof match === 'string' ? value === match : match.test(value);
    }),
  );
}
