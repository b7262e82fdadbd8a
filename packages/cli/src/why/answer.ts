/** What a ztunnel answers at `/debug/why`. It may be of another version: unknown steps are kept, missing parts are empty. */
import { booleanOf, type JsonObject, listOf, numberOf, objectOf, textOf, textsOf } from '../json-value.ts';

export interface Step {
  /** `source`, `name`, `route`, `certificate`, `waypoint`, `inbound`, `authorization`, or what a later version adds. */
  readonly step: string;
  readonly outcome: 'ok' | 'refuse' | 'unknown';
  readonly message: string;
  readonly detail: JsonObject;
}

export interface Half {
  readonly workload: string;
  readonly identity: string;
  /** Whether the proxy that answered serves this end. */
  readonly served: boolean;
}

export interface WhyAnswer {
  readonly node: string;
  readonly version: string;
  readonly source: Half | undefined;
  readonly destination: Half | undefined;
  readonly outbound: readonly Step[];
  readonly inbound: readonly Step[];
}

/** One policy that was considered, and how it fared. */
export interface PolicyTrace {
  readonly policy: string;
  readonly action: string;
  readonly scope: string;
  readonly dryRun: boolean;
  readonly matchedRule: number | undefined;
  readonly failures: readonly {
    readonly rule: number;
    readonly clause: number;
    readonly failed: readonly string[];
  }[];
}

export function readWhy(json: unknown): WhyAnswer {
  const answer = objectOf(json);
  const proxy = objectOf(answer['proxy']);
  return {
    node: textOf(proxy['node']),
    version: textOf(proxy['version']),
    source: readHalf(answer['source']),
    destination: readHalf(answer['destination']),
    outbound: listOf(answer['outbound']).map(readStep),
    inbound: listOf(answer['inbound']).map(readStep),
  };
}

/** The policies in the detail of an `authorization` step, in the order in which they were considered. */
export function policiesOf({ detail }: Step): readonly PolicyTrace[] {
  return listOf(detail['policies'])
    .map(objectOf)
    .map((policy) => ({
      policy: textOf(policy['policy']),
      action: textOf(policy['action']),
      scope: textOf(policy['scope']),
      dryRun: booleanOf(policy['dryRun']),
      matchedRule: numberOf(policy['matchedRule']),
      failures: listOf(policy['failures'])
        .map(objectOf)
        .map((failure) => ({
          rule: numberOf(failure['rule']) ?? 0,
          clause: numberOf(failure['clause']) ?? 0,
          failed: textsOf(failure['failed']),
        })),
    }));
}

/** How a `route` step came about: the service, its endpoints, the waypoint, who the peer must be; a line each. */
export function routeLines({ detail }: Step): readonly string[] {
  return listOf(detail['explained'])
    .map(objectOf)
    .filter(({ name }) => TOLD_BY_ROUTE.includes(textOf(name)))
    .flatMap((explained) => [
      `${textOf(explained['name'])}: ${textOf(explained['says'])}`,
      ...textsOf(explained['details']).map((line) => `  ${line}`),
    ]);
}

const TOLD_BY_ROUTE = ['service', 'endpoint', 'waypoint', 'identity'];

/** The namespace and name of the pod in a workload's UID, `cluster//Pod/namespace/name`. */
export function podOfUid(uid: string): { readonly namespace: string; readonly name: string } | undefined {
  const [, namespace, name] = /\/\/Pod\/([^/]+)\/([^/]+)$/.exec(uid) ?? [];
  return namespace === undefined || name === undefined ? undefined : { namespace, name };
}

function readHalf(value: unknown): Half | undefined {
  const half = objectOf(value);
  const workload = textOf(half['workload']);
  if (workload === '') return undefined;
  return { workload, identity: textOf(half['identity']), served: booleanOf(half['served']) };
}

export function readStep(value: unknown): Step {
  const step = objectOf(value);
  const outcome = textOf(step['outcome']);
  return {
    step: textOf(step['step']),
    outcome: outcome === 'ok' || outcome === 'refuse' ? outcome : 'unknown',
    message: textOf(step['message']),
    detail: objectOf(step['detail']),
  };
}
