/** `ambit certificates`: which identities each node can prove, and until when. */
import { byTexts, type Context, printRows } from '../context.ts';
import type { DumpedCertificate } from '../config-dump.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';

export interface CertificateRow extends DumpedCertificate {
  readonly node: string;
}

const COLUMNS = [
  { title: 'NODE', of: (row: CertificateRow) => row.node },
  { title: 'IDENTITY', of: (row: CertificateRow) => row.identity },
  { title: 'STATE', of: (row: CertificateRow) => row.state },
  { title: 'EXPIRES', of: (row: CertificateRow) => row.expires },
  { title: 'ROOTS', of: (row: CertificateRow) => String(row.roots) },
  { title: 'SERIAL', of: (row: CertificateRow) => row.serial },
];

export async function certificates(context: Context): Promise<ExitCode> {
  const { ztunnels, options, warn } = context;
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
  return outcomes.some((outcome) => 'problem' in outcome) ? EXIT.error : EXIT.ok;
}
