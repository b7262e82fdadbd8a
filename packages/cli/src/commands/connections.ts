/** `ambit connections`: what is open right now. Ztunnels that are not ours know no identities; then they stay empty. */
import { byTexts, type Context, printRows } from '../context.ts';
import { type DumpedConnection, readConnections } from '../config-dump.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import type { Ztunnel, Ztunnels } from '../ztunnels.ts';

export interface ConnectionRow extends DumpedConnection {
  readonly node: string;
}

const COLUMNS = [
  { title: 'NODE', of: (row: ConnectionRow) => row.node },
  { title: 'POD', of: (row: ConnectionRow) => (row.pod === '' ? row.podUid : `${row.namespace}/${row.pod}`) },
  { title: 'DIRECTION', of: (row: ConnectionRow) => row.direction },
  { title: 'SOURCE', of: (row: ConnectionRow) => row.source },
  { title: 'DESTINATION', of: (row: ConnectionRow) => row.destination },
  { title: 'PROTOCOL', of: protocolOf },
  { title: 'PEER', of: peerOf },
];

export async function connections(context: Context): Promise<ExitCode> {
  const { ztunnels, options, warn } = context;
  const outcomes = await ztunnels.each(await ztunnels.some(options.node), (one) => ask(ztunnels, one));
  for (const outcome of outcomes) if ('problem' in outcome) warn(outcome.problem);
  const rows = outcomes
    .flatMap((outcome): readonly ConnectionRow[] =>
      'answer' in outcome
        ? outcome.answer.map((connection) => ({ node: outcome.ztunnel.node, ...connection }))
        : [],
    )
    .filter(({ namespace }) => options.namespace === undefined || namespace === options.namespace)
    .sort(byTexts((row) => [row.node, row.namespace, row.pod, row.direction, row.source]));
  printRows(context, COLUMNS, rows, 'no open connections');
  return outcomes.some((outcome) => 'problem' in outcome) ? EXIT.error : EXIT.ok;
}

async function ask(ztunnels: Ztunnels, ztunnel: Ztunnel): Promise<readonly DumpedConnection[]> {
  const own = await ztunnels.page(ztunnel, '/debug/connections');
  return own === undefined ? (await ztunnels.configDump(ztunnel)).connections : readConnections(own);
}

function protocolOf({ protocol }: ConnectionRow): string {
  if (protocol === 'CLEAR') return 'TCP (clear, older than enrolment)';
  return protocol === 'TCP' ? 'TCP (clear)' : protocol;
}

/** The identity that the other end proved. */
function peerOf(row: ConnectionRow): string {
  return row.direction === 'inbound' ? row.sourceIdentity : row.destinationIdentity;
}
