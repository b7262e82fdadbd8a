/**
 * `ambit why`: asks the proxies at both ends what would become of a connection, and puts their answers together.
 *
 * The source's ztunnel decides the way out, the destination's the way in; this command decides nothing itself.
 */
import { messageOf } from '@ambit/core/errors';
import type { Pod } from '@ambit/kube/resources/core';
import { parseDestination, parseSource, addressesOf, hostPort } from '../names.ts';
import type { Context } from '../context.ts';
import { ProxyError } from '../errors.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { printable } from '../table.ts';
import { podOfUid, readWhy } from '../why/answer.ts';
import { type DestinationEnd, Ends, type SourceEnd } from '../why/ends.ts';
import { type Asked, type Explanation, explain, type Findings, type Mark } from '../why/explanation.ts';

const EXIT_OF = { allowed: EXIT.ok, refused: EXIT.refused, unknown: EXIT.unknown } as const;

export async function why(context: Context, operands: readonly string[]): Promise<ExitCode> {
  const [from = '', to = ''] = operands;
  const [source, destination] = [parseSource(from), parseDestination(to)];
  const { client, options, signal, print } = context;
  const { namespace } = await client.transport.access();
  const ends = new Ends(client, { asked: options.namespace, namespace }, signal);
  const sourceEnd = await ends.source(source);
  const findings = await find(context, ends, sourceEnd, await ends.destination(destination, sourceEnd));
  const explanation = explain(findings);
  print(options.output === 'json' ? `${JSON.stringify(explanation, undefined, 2)}\n` : render(explanation));
  return EXIT_OF[explanation.verdict];
}

async function find(context: Context, ends: Ends, from: SourceEnd, to: DestinationEnd): Promise<Findings> {
  const source = from.pod && (await ends.end(from.pod));
  const common = {
    sourceName: from.name,
    destinationName: to.name,
    source,
    notes: [...from.notes, ...to.notes],
  };
  return from.pod && source?.notCaptured === undefined
    ? { ...common, ...(await findCaptured(context, ends, from.pod, from, to)) }
    : { ...common, ...(await findInClear(context, ends, from, to)) };
}

type Rest = Pick<Findings, 'destination' | 'outbound' | 'inbound' | 'obstacle' | 'policies'>;
const NOTHING: Rest = {
  destination: undefined,
  outbound: undefined,
  inbound: undefined,
  obstacle: undefined,
  policies: [],
};

/** The source's proxy says which pod is reached; that pod's proxy says whether it lets the connection in. */
async function findCaptured(
  context: Context,
  ends: Ends,
  pod: Pod,
  from: SourceEnd,
  to: DestinationEnd,
): Promise<Rest> {
  const query = new URLSearchParams({ source: from.name, destination: to.hostPort, sourceIp: from.ip });
  const outbound = await ask(context, pod.spec?.nodeName ?? '', query);
  const uid = 'answer' in outbound ? outbound.answer.destination?.workload : undefined;
  if (uid === undefined) return { ...NOTHING, outbound };
  const at = podOfUid(uid);
  const reached = at && (await ends.pod(at));
  if (!reached) return { ...NOTHING, outbound, inbound: outbound };
  const destination = await ends.end(reached);
  if (destination.notCaptured !== undefined) return { ...NOTHING, outbound, destination };
  const inbound = destination.node === outbound.node ? outbound : await ask(context, destination.node, query);
  return { ...NOTHING, outbound, destination, inbound, policies: await heldPolicies(context, inbound) };
}

/** Nothing of the mesh is at the source: the connection goes where Kubernetes sends it, and proves nothing there. */
async function findInClear(context: Context, ends: Ends, from: SourceEnd, to: DestinationEnd): Promise<Rest> {
  const target = to.pod
    ? { pod: to.pod, port: to.port }
    : to.service && (await ends.endpoint(to.service, to.port));
  if (!target) return to.service ? { ...NOTHING, obstacle: `${to.name} has no ready endpoint` } : NOTHING;
  const destination = await ends.end(target.pod);
  const ip = addressesOf(target.pod)[0];
  if (destination.notCaptured !== undefined || ip === undefined) return { ...NOTHING, destination };
  const query = new URLSearchParams({
    captured: 'false',
    sourceIp: from.ip,
    destination: hostPort(ip, target.port),
  });
  const inbound = await ask(context, destination.node, query);
  return { ...NOTHING, destination, inbound, policies: await heldPolicies(context, inbound) };
}

async function ask({ ztunnels }: Context, node: string, query: URLSearchParams): Promise<Asked> {
  try {
    const ztunnel = await ztunnels.ofNode(node);
    const answer = await ztunnels.page(ztunnel, `/debug/why?${query.toString()}`);
    if (answer === undefined)
      throw new ProxyError(
        `ztunnel ${ztunnel.namespace}/${ztunnel.pod} cannot say why: it has no /debug/why`,
      );
    return { node, answer: readWhy(answer) };
  } catch (error) {
    return { node, problem: messageOf(error) };
  }
}

/** The rules themselves, to say what a clause wants; an explanation without them is poorer, not wrong. */
async function heldPolicies({ ztunnels }: Context, asked: Asked): Promise<Findings['policies']> {
  if (!('answer' in asked) || !asked.answer.inbound.some(({ step }) => step === 'authorization')) return [];
  try {
    return (await ztunnels.configDump(await ztunnels.ofNode(asked.node))).policies;
  } catch {
    return [];
  }
}

const HEADS = { allowed: 'ALLOWED', refused: 'REFUSED', unknown: 'NOT KNOWN' } as const;
const SIGNS: Readonly<Record<Mark, string>> = { ok: '✓', refused: '✗', unknown: '?', note: '·' };

function render({ verdict, sentence, lines }: Explanation): string {
  const width = Math.max(...lines.map(({ about }) => about.length));
  const body = lines.flatMap(({ about, mark, text, details }) => [
    `  ${SIGNS[mark]} ${about.padEnd(width)}  ${printable(text)}`,
    ...details.map((detail) => `    ${' '.repeat(width)}  ${printable(detail)}`),
  ]);
  return [`${HEADS[verdict]}: ${printable(sentence)}`, ...body, ''].join('\n');
}
