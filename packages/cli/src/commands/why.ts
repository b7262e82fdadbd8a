/**
 * `ambit why`: asks the proxies at both ends what would become of a connection, and puts their answers together.
 *
 * The source's ztunnel decides the way out, the destination's the way in; this command decides nothing itself.
 */
import { keyOf } from '@ambit/kube/resource';
import type { Pod } from '@ambit/kube/resources/core';
import { parseDestination, parseSource, addressesOf, hostPort } from '../names.ts';
import type { Context } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { textOf } from '../json-value.ts';
import { printable } from '../table.ts';
import { podOfUid } from '../why/answer.ts';
import { type DestinationEnd, Ends, type SourceEnd } from '../why/ends.ts';
import { type Asked, type Explanation, explain, type Findings, type Mark } from '../why/explanation.ts';
import { declaredProtocol, type RequestOptions, requestQuery, requestText } from '../why/request.ts';
import { askWaypoint, askZtunnel, heldPolicies, strictBy } from '../why/proxies.ts';
import { firstEndpoint } from '../why/waypoint-answer.ts';

interface PodName {
  readonly namespace: string;
  readonly name: string;
}

const EXIT_OF = { allowed: EXIT.ok, refused: EXIT.refused, unknown: EXIT.unknown } as const;

export async function why(context: Context, operands: readonly string[]): Promise<ExitCode> {
  const [from = '', to = ''] = operands;
  const [source, destination] = [parseSource(from), parseDestination(to)];
  const { client, options, signal, print } = context;
  const { namespace } = await client.transport.access();
  const ends = new Ends(client, { asked: options.namespace, namespace }, signal);
  const sourceEnd = await ends.source(source);
  const findings = await find(context, ends, sourceEnd, await ends.destination(destination, sourceEnd));
  const explanation = explain(withUnreadNote(findings, options.request));
  print(options.output === 'json' ? `${JSON.stringify(explanation, undefined, 2)}\n` : render(explanation));
  return EXIT_OF[explanation.verdict];
}

/** Whoever asks about a request where nothing reads it should know that it makes no difference. */
function withUnreadNote(findings: Findings, { isGiven }: RequestOptions): Findings {
  if (!isGiven || findings.waypoint) return findings;
  const note = 'no waypoint is on the way: nothing reads requests, so what they say makes no difference';
  return { ...findings, notes: [...findings.notes, note] };
}

async function find(context: Context, ends: Ends, from: SourceEnd, to: DestinationEnd): Promise<Findings> {
  const source = from.pod && (await ends.end(from.pod));
  const common = {
    sourceName: from.name,
    destinationName: to.name,
    source,
    service: to.service && keyOf(to.service),
    notes: [...from.notes, ...to.notes],
  };
  return from.pod && source?.notCaptured === undefined
    ? { ...common, ...(await findCaptured(context, ends, from.pod, from, to)) }
    : { ...common, ...(await findInClear(context, ends, from, to)) };
}

type Rest = Omit<Findings, 'sourceName' | 'destinationName' | 'source' | 'service' | 'notes'>;
const NOTHING: Rest = {
  destination: undefined,
  outbound: undefined,
  waypoint: undefined,
  inbound: undefined,
  obstacle: undefined,
  policies: [],
  strictBy: undefined,
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
  const outbound = await askZtunnel(context, pod.spec?.nodeName ?? '', query);
  const uid = 'answer' in outbound ? outbound.answer.destination?.workload : undefined;
  if (uid === undefined) return { ...NOTHING, outbound };
  const at = podOfUid(uid);
  const route =
    'answer' in outbound ? outbound.answer.outbound.find(({ step }) => step === 'route') : undefined;
  if (at && textOf(route?.detail['via']) === 'waypoint') {
    const authority = textOf(route?.detail['authority']) || to.hostPort;
    return await throughWaypoint(context, ends, from, to, outbound, { at, authority });
  }
  const reached = at && (await ends.pod(at));
  if (!reached) return { ...NOTHING, outbound, inbound: outbound };
  const destination = await ends.end(reached);
  if (destination.notCaptured !== undefined) return { ...NOTHING, outbound, destination };
  const inbound =
    destination.node === outbound.node ? outbound : await askZtunnel(context, destination.node, query);
  return { ...NOTHING, outbound, destination, ...(await wayIn(context, inbound, reached)) };
}

/** The waypoint decides about the request, and chooses an endpoint; whose proxy sees the waypoint, not the source. */
async function throughWaypoint(
  context: Context,
  ends: Ends,
  from: SourceEnd,
  to: DestinationEnd,
  outbound: Asked,
  { at, authority }: { readonly at: PodName; readonly authority: string },
): Promise<Rest> {
  const { request } = context.options;
  const identity = 'answer' in outbound ? (outbound.answer.source?.identity ?? '') : '';
  const query = new URLSearchParams({ destination: authority, sourceIp: from.ip });
  if (identity !== '') query.append('identity', identity);
  const protocol = request.protocol ?? declaredProtocol(to.service, to.port);
  for (const [name, value] of requestQuery(request, protocol)) query.append(name, value);
  const name = `${at.namespace}/${at.name}`;
  const asked = await askWaypoint(context, at, query);
  const found = { ...NOTHING, outbound, waypoint: { name, request: requestText(request, protocol), asked } };
  const endpoint = 'problem' in asked ? undefined : firstEndpoint(asked);
  const place = endpoint && podOfUid(endpoint.workload);
  const reached = place && (await ends.pod(place));
  if (!reached) return found;
  const destination = await ends.end(reached);
  if (destination.notCaptured !== undefined) return { ...found, destination };
  const last = new URLSearchParams({ source: name, destination: endpoint.hostPort });
  const inbound = await askZtunnel(context, destination.node, last);
  return { ...found, destination, ...(await wayIn(context, inbound, reached)) };
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
  const inbound = await askZtunnel(context, destination.node, query);
  return { ...NOTHING, destination, ...(await wayIn(context, inbound, target.pod)) };
}

/** What the destination's proxy said, with what explains it. */
async function wayIn(
  context: Context,
  inbound: Asked,
  pod: Pod,
): Promise<Pick<Findings, 'inbound' | 'policies' | 'strictBy'>> {
  const [policies, by] = await Promise.all([heldPolicies(context, inbound), strictBy(context, inbound, pod)]);
  return { inbound, policies, strictBy: by };
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
