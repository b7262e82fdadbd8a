/**
 * Joins what is known of a connection into one explanation: where it comes from, which way it takes, what lets it in.
 *
 * Pure. Each half was decided by the proxy that would decide it; this only puts them side by side, and says where one of
 * them could not be asked or where the two do not agree.
 */
import type { DumpedPolicy } from '../config-dump.ts';
import { objectOf, textOf, textsOf } from '../json-value.ts';
import { type Half, policiesOf, routeLines, type Step, type WhyAnswer } from './answer.ts';
import { adviceOf, callerUnseen } from './caller-unseen.ts';
import { peerAuthenticationTitle } from './peer-authentication.ts';
import { describePolicies } from './policy-lines.ts';
import { detailLines, type WaypointAnswer } from './waypoint-answer.ts';

/** A pod at one end. */
export interface PodEnd {
  /** `namespace/name`. */
  readonly name: string;
  readonly node: string;
  /** Why its traffic is not captured; `undefined`: it is. */
  readonly notCaptured: string | undefined;
}

/** The waypoint on the way, and what it said of the request, or why it said nothing. */
export interface WaypointHop {
  /** `namespace/name` of the pod. */
  readonly name: string;
  /** For people: `GET /items`; `undefined`: bytes that it does not read. */
  readonly request: string | undefined;
  readonly asked: WaypointAnswer | { readonly problem: string };
}

/** What a proxy said, or why it said nothing. */
export type Asked =
  | { readonly node: string; readonly answer: WhyAnswer }
  | { readonly node: string; readonly problem: string };

export interface Findings {
  /** As the user will recognise the two ends: `shop/web-1`, `service shop/api port 80`. */
  readonly sourceName: string;
  readonly destinationName: string;
  /** `undefined`: no pod of this cluster. */
  readonly source: PodEnd | undefined;
  readonly destination: PodEnd | undefined;
  /** The source's proxy; `undefined` when the source is not captured. */
  readonly outbound: Asked | undefined;
  /** `undefined`: nothing on the way reads requests. */
  readonly waypoint: WaypointHop | undefined;
  /** The destination's proxy; `undefined` when the destination is not captured, or nothing leads there. */
  readonly inbound: Asked | undefined;
  /** The destination cannot be reached whatever the mesh says: no endpoint. */
  readonly obstacle: string | undefined;
  /** As the destination's proxy holds them, to say what a clause wants. */
  readonly policies: readonly DumpedPolicy[];
  /** The PeerAuthentication, `namespace/name`, by which the destination is STRICT; `undefined`: by none, or not known. */
  readonly strictBy: string | undefined;
  /** `namespace/name` of the Service that was asked for; `undefined`: something else was. */
  readonly service: string | undefined;
  readonly notes: readonly string[];
}

export type Mark = 'ok' | 'refused' | 'unknown' | 'note';

export interface Line {
  readonly about: string;
  readonly mark: Mark;
  readonly text: string;
  readonly details: readonly string[];
}

export interface Explanation {
  readonly verdict: 'allowed' | 'refused' | 'unknown';
  readonly sentence: string;
  readonly lines: readonly Line[];
}

export function explain(findings: Findings): Explanation {
  const lines = [
    ...findings.notes.map((text) => line('note', 'note', text)),
    sourceLine(findings),
    ...outboundLines(findings),
    ...waypointLines(findings),
    ...(findings.obstacle === undefined ? [] : [line('destination', 'refused', findings.obstacle)]),
    ...inboundLines(findings),
    ...disagreements(findings),
  ];
  const { sourceName, destinationName, waypoint } = findings;
  const act = waypoint?.request === undefined ? 'connect' : `send ${waypoint.request}`;
  const refusal = lines.find(({ mark }) => mark === 'refused');
  if (refusal) {
    const sentence = `${sourceName} may not ${act} to ${destinationName}: ${refusal.text}`;
    return { verdict: 'refused', sentence, lines };
  }
  const doubt = lines.find(({ mark }) => mark === 'unknown');
  if (doubt) {
    const sentence = `whether ${sourceName} may ${act} to ${destinationName} is not known: ${doubt.text}`;
    return { verdict: 'unknown', sentence, lines };
  }
  const sentence = `${sourceName} may ${act} to ${destinationName}, ${manner(findings)}`;
  return { verdict: 'allowed', sentence, lines };
}

/** How the bytes travel, which people should not have to look for. */
function manner({ outbound }: Findings): string {
  const answer = outbound && 'answer' in outbound ? outbound.answer : undefined;
  const route = answer?.outbound.find(({ step }) => step === 'route');
  const protocol = textOf(route?.detail['protocol']);
  return protocol === '' || protocol === 'TCP'
    ? 'in clear'
    : `encrypted, as ${answer?.source?.identity ?? 'itself'}`;
}

function line(about: string, mark: Mark, text: string, details: readonly string[] = []): Line {
  return { about, mark, text, details };
}

function sourceLine({ source, sourceName, outbound }: Findings): Line {
  if (!source)
    return line(
      'source',
      'note',
      `${sourceName} is no pod of this cluster: what it sends is in clear and proves no identity`,
    );
  const where = `${source.name} on ${source.node || 'no node'}`;
  if (source.notCaptured !== undefined) {
    const text = `${where} is not in the mesh (${source.notCaptured}): what it sends is in clear and proves no identity`;
    return line('source', 'note', text);
  }
  const identity = outbound && 'answer' in outbound ? outbound.answer.source?.identity : undefined;
  return line('source', 'ok', identity ? `${where} is ${identity}` : `${where} is in the mesh`);
}

function outboundLines({ outbound, sourceName, destinationName }: Findings): readonly Line[] {
  if (!outbound) return [];
  if ('problem' in outbound) return [line('route', 'unknown', outbound.problem)];
  const steps = outbound.answer.outbound
    .filter((step) => step.step !== 'source' || step.outcome !== 'ok')
    .map((step) => {
      if (step.step !== 'name' || step.outcome !== 'unknown') return step;
      const port = /:\d+$/.exec(destinationName)?.[0] ?? '';
      const next = `ask for its address: "ambit why ${sourceName} IP${port}"`;
      return { ...step, message: `${step.message}; ${next}` };
    });
  const lines = steps.map((step) => stepLine(step, step.step === 'route' ? routeLines(step) : []));
  const { source } = outbound.answer;
  if (source && !source.served) {
    const text = `the ztunnel of ${outbound.node} does not serve ${podName(source)}: the pod is not announced to it`;
    lines.push(line('capture', 'unknown', text));
  }
  return lines;
}

function waypointLines({ waypoint }: Findings): readonly Line[] {
  if (!waypoint) return [];
  const { name, request, asked } = waypoint;
  if ('problem' in asked) return [line('waypoint', 'unknown', asked.problem)];
  return [
    line(
      'waypoint',
      'ok',
      request === undefined ? `${name} carries the connection` : `${name} reads ${request}`,
    ),
    ...asked.steps.map((step) => {
      const mark = step.outcome === 'refuse' ? 'refused' : step.outcome;
      return line(step.step, mark, step.message, detailLines(step));
    }),
  ];
}

function inboundLines(findings: Findings): readonly Line[] {
  const { destination, inbound } = findings;
  if (destination?.notCaptured !== undefined) {
    const where = `${destination.name} on ${destination.node || 'no node'}`;
    const text = `${where} is not in the mesh (${destination.notCaptured}): what reaches it is in clear, and no policy is enforced there`;
    return [line('destination', 'note', text)];
  }
  if (!inbound) return [];
  const where = destination
    ? [line('destination', 'ok', `${destination.name} on ${destination.node || 'no node'}`)]
    : [];
  if ('problem' in inbound) return [...where, line('inbound', 'unknown', inbound.problem)];
  return [
    ...where,
    ...inbound.answer.inbound.map((step) =>
      step.step === 'authorization' ? authorizationLine(step, findings) : stepLine(step, []),
    ),
  ];
}

/** Says which policies, by the names that users know; and whom they judged, where that is not who asked. */
function authorizationLine(decided: Step, findings: Findings): Line {
  const { destination, waypoint, policies, strictBy, service } = findings;
  const noneMatched = textOf(objectOf(decided.detail['verdict'])['kind']) === 'no-allow-matched';
  const traces = policiesOf(decided);
  const allowing = noneMatched ? traces.filter(({ action, dryRun }) => action === 'Allow' && !dryRun) : [];
  const unmatched = allowing.length === 0 ? '' : ` (${allowing.map(({ policy }) => policy).join(', ')})`;
  const named = [...traces.map(({ policy }) => policy), ...textsOf(decided.detail['missing'])];
  const message = named.reduce(
    (text, key) => text.replace(key, () => peerAuthenticationTitle(key, strictBy) ?? key),
    decided.message + unmatched,
  );
  const details = describePolicies(decided, policies, strictBy);
  const unseen = waypoint && callerUnseen(decided, policies);
  if (!unseen) return stepLine({ ...decided, message }, details);
  const whom = `${destination?.name ?? 'the destination'} sees the waypoint's identity, ${unseen.principal}, in place of the caller's`;
  return stepLine({ ...decided, message: `${whom}: ${message}` }, [...details, adviceOf(unseen, service)]);
}

/** A certificate that nobody needed yet is no doubt: it is asked for with the first connection. */
function stepLine({ step, outcome, message }: Step, details: readonly string[]): Line {
  const pending = step === 'certificate' && outcome === 'unknown';
  const mark = outcome === 'refuse' ? 'refused' : pending ? 'note' : outcome;
  return line(step, mark, message, details);
}

/** Two proxies that answered differently, or are of different versions. */
function disagreements({ outbound, waypoint, inbound }: Findings): readonly Line[] {
  if (!outbound || !inbound || !('answer' in outbound) || !('answer' in inbound)) return [];
  const [from, to] = [outbound.answer, inbound.answer];
  const lines: Line[] = [];
  if (from.version !== to.version) {
    const text = `${outbound.node} runs ztunnel ${from.version || '(unknown)'}, ${inbound.node} runs ${to.version || '(unknown)'}: they may decide by different rules`;
    lines.push(line('versions', 'note', text));
  }
  const [left, right] = [from.destination?.workload, to.destination?.workload];
  // With a waypoint between them the one chooses the waypoint, and the other is what the waypoint chose.
  if (waypoint) return lines;
  if (left !== undefined && right !== undefined && left !== right) {
    const text = `${outbound.node} would choose ${left}, ${inbound.node} would choose ${right}: one of them does not have the latest state yet`;
    lines.push(line('state', 'note', text));
  }
  return lines;
}

function podName({ workload }: Half): string {
  return workload.split('//Pod/')[1] ?? workload;
}
