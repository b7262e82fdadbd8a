/** `ambit certificates`: which identities each node can prove, and until when. */
import { byTexts, type Context, printRows } from '../context.ts';
import type { DumpedCertificate } from '../config-dump.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { printable } from '../table.ts';

export interface CertificateRow extends DumpedCertificate {
  readonly node: string;
}

const COLUMNS = [
  { title: 'NODE', of: (row: CertificateRow) => row.node },
  { title: 'IDENTITY', of: (row: CertificateRow) => row.identity },
  { title: 'STATE', of: (row: CertificateRow) => wordOf(row.state) },
  { title: 'EXPIRES', of: (row: CertificateRow) => row.expires },
  { title: 'ROOTS', of: (row: CertificateRow) => String(row.roots) },
  { title: 'SERIAL', of: (row: CertificateRow) => row.serial },
];

export async function certificates(context: Context): Promise<ExitCode> {
  const { ztunnels, options, print, warn } = context;
  const outcomes = await ztunnels.each(await ztunnels.some(options.node), (one) => ztunnels.configDump(one));
  for (const outcome of outcomes) if ('problem' in outcome) warn(outcome.problem);
  const rows = outcomes
    .flatMap((outcome): readonly CertificateRow[] =>
      'answer' in outcome
        ? outcome.answer.certificates.map((certificate) => ({ node: outcome.ztunnel.node, ...certificate }))
        : [],
    )
    .filter(
      ({ identity }) => options.namespace === undefined || identity.includes(`/ns/${options.namespace}/sa/`),
    )
    .sort(byTexts((row) => [row.node, row.identity]));
  printRows(context, COLUMNS, rows, 'no certificates');
  const reasons = options.output === 'json' ? [] : reasonsOf(rows);
  if (reasons.length > 0) print(`\n${reasons.map((reason) => `${printable(reason)}\n`).join('')}`);
  return outcomes.some((outcome) => 'problem' in outcome) ? EXIT.error : EXIT.ok;
}

/** The state without its reason, which would make every row as wide: `Unavailable`. */
function wordOf(state: string): string {
  return state.split(':', 1)[0] ?? '';
}

/** One line for each reason: when the authority is away, it is that of many certificates. */
function reasonsOf(rows: readonly CertificateRow[]): readonly string[] {
  const byReason = Map.groupBy(
    rows.filter(({ state }) => state.includes(':')),
    ({ identity, state }) =>
      state
        .slice(wordOf(state).length + 1)
        .trim()
        .replace(`no certificate for ${identity}: `, ''),
  );
  return [...byReason].map(([reason, [first, ...more]]) => {
    const others = more.length === 0 ? '' : ` and ${more.length} more`;
    return `${first?.identity ?? ''} on ${first?.node ?? ''}${others}: ${reason}`;
  });
}
