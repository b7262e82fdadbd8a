/**
 * What a waypoint answers at `/debug/why`, and how its steps read. It may be of another version: nothing of it is needed.
 * Rules count from 0, as in the sentences and the logs of a waypoint.
 */
import { listOf, type JsonObject, numberOf, objectOf, textOf, textsOf } from '../json-value.ts';
import { readStep, type Step } from './answer.ts';

export interface WaypointAnswer {
  readonly version: string;
  readonly steps: readonly Step[];
}

export function readWaypointWhy(json: unknown): WaypointAnswer {
  const answer = objectOf(json);
  return {
    version: textOf(objectOf(answer['proxy'])['version']),
    steps: listOf(answer['steps']).map(readStep),
  };
}

/** The most preferred endpoint that may take the request: its workload's UID, and where it listens. */
export function firstEndpoint({
  steps,
}: WaypointAnswer): { readonly workload: string; readonly hostPort: string } | undefined {
  const step = steps.find(({ step: name }) => name === 'endpoint');
  const usable = listOf(step?.detail['endpoints'])
    .map(objectOf)
    .find(({ healthy, weight }) => healthy === true && (numberOf(weight) ?? 0) > 0);
  return usable && { workload: textOf(usable['workload']), hostPort: textOf(usable['endpoint']) };
}

/** What stands behind a step, a line each. */
export function detailLines({ step, detail }: Step): readonly string[] {
  switch (step) {
    case 'authorization':
      return listOf(detail['policies']).map(objectOf).flatMap(policyLines);
    case 'route':
      return routeLines(detail);
    case 'backend':
      return listOf(detail['shares']).map(objectOf).map(shareLine);
    case 'endpoint':
      return listOf(detail['endpoints']).map(objectOf).map(endpointLine);
    default:
      return [];
  }
}

function policyLines(policy: JsonObject): readonly string[] {
  const dryRun = policy['dryRun'] === true ? ', dry run: not enforced' : '';
  const head = `policy ${textOf(policy['policy'])} (${textOf(policy['action'])}${dryRun})`;
  const unreadable = textOf(policy['unreadable']);
  if (unreadable !== '') return [`${head}: cannot be read, so it denies: ${unreadable}`];
  const matched = numberOf(policy['matchedRule']);
  if (matched !== undefined) return [`${head}: rule ${matched} matches`];
  const failures = listOf(policy['failures']).map(objectOf).map(failureText);
  if (failures.length === 0) return [`${head}: has no rules, so it matches nothing`];
  return failures.length === 1
    ? [`${head}: ${failures[0]}`]
    : [`${head}:`, ...failures.map((text) => `  ${text}`)];
}

function failureText(failure: JsonObject): string {
  const rule = numberOf(failure['rule']) ?? 0;
  const conditions = listOf(failure['failed']).map(objectOf).map(conditionText);
  const wants = conditions.length === 0 ? 'what nothing has' : conditions.join(', or ');
  return `rule ${rule} does not match, as its ${textOf(failure['part'])} wants ${wants}`;
}

function conditionText(condition: JsonObject): string {
  const has = textsOf(condition['has']);
  return `${textOf(condition['field'])} ${textsOf(condition['wants']).join(', ')} (here: ${has.join(', ') || 'nothing'})`;
}

function routeLines(detail: JsonObject): readonly string[] {
  const chosen = objectOf(detail['chosen']);
  const others = listOf(detail['others']).map(objectOf);
  return [
    ...(textOf(chosen['route']) === '' ? [] : [`${matchName(chosen)} matches: ${textOf(chosen['wants'])}`]),
    ...others.map((other) => {
      const failed = textOf(other['failed']);
      return `${matchName(other)} ${failed === '' ? 'matches too, and comes after it' : `does not: ${failed}`}`;
    }),
  ];
}

function matchName(match: JsonObject): string {
  const rule = textOf(match['rule']) || String(numberOf(match['ruleIndex']) ?? 0);
  return `${textOf(match['route'])} rule ${rule}`;
}

function shareLine(share: JsonObject): string {
  const percent = `${Math.round((numberOf(share['share']) ?? 0) * 100)} %`;
  const service = textOf(share['service']);
  if (service === '') return `${percent} answered with ${textOf(share['status'])}`;
  const subset = textOf(share['subset']);
  return `${percent} to ${service} port ${textOf(share['port'])}${subset === '' ? '' : `, subset ${subset}`}`;
}

function endpointLine(endpoint: JsonObject): string {
  const workload = textOf(endpoint['workload']);
  const state = endpoint['healthy'] === true ? '' : ', not healthy';
  return `${textOf(endpoint['endpoint'])}${workload === '' ? '' : ` (${workload})`}${state}`;
}
