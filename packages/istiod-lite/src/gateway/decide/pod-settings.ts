/**
 * What an installation wants of the pods of its waypoints: the chart's `global.waypoint` as JSON, with the chart's names.
 *
 * It is read once, at the start, and whole: a field that is not known is refused, so that a misspelt limit is no missing one.
 */
import {
  integer,
  list,
  map,
  object,
  oneOf,
  schemaProblems,
  type StructuralSchema,
  text,
} from '../../schema/openapi.ts';

type Fields = Readonly<Record<string, unknown>>;

export interface PodSettings {
  /** Empty: Kubernetes' default. */
  readonly imagePullPolicy?: string;
  /** Names of Secrets in the waypoint's namespace. */
  readonly imagePullSecrets?: readonly string[];
  readonly resources?: Fields;
  readonly affinity?: Fields;
  /** Empty, and without affinity: replicas prefer different nodes and zones. */
  readonly topologySpreadConstraints?: readonly Fields[];
  readonly nodeSelector?: Readonly<Record<string, string>>;
  readonly tolerations?: readonly Fields[];
  readonly autoscaleMin?: number;
  readonly autoscaleMax?: number;
  /** CPU of one replica, as Kubernetes writes quantities, above which another one is added. */
  readonly autoscaleCpu?: string;
  readonly terminationGracePeriodSeconds?: number;
  readonly logLevel?: string;
  readonly logAsJson?: boolean;
  /** More variables of the container; they win over those that are there. */
  readonly env?: Readonly<Record<string, string | number | boolean>>;
}

const anything: StructuralSchema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };

const schema = object({
  imagePullPolicy: oneOf(['', 'Always', 'IfNotPresent', 'Never']),
  imagePullSecrets: list(text(undefined, { minLength: 1 })),
  resources: object({ requests: anything, limits: anything, claims: list(anything) }),
  affinity: anything,
  topologySpreadConstraints: list(anything),
  nodeSelector: map(text()),
  tolerations: list(anything),
  autoscaleMin: integer(undefined, { minimum: 1 }),
  autoscaleMax: integer(undefined, { minimum: 1 }),
  autoscaleCpu: text(undefined, { minLength: 1 }),
  terminationGracePeriodSeconds: integer(undefined, { minimum: 1, maximum: 31_536_000 }),
  logLevel: text(undefined, { minLength: 1 }),
  logAsJson: { type: 'boolean' },
  env: anything,
});

/** `undefined`: it is not JSON, or not of this form. */
export function parsePodSettings(source: string): PodSettings | undefined {
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch {
    return undefined;
  }
  if (schemaProblems(schema, value, '').length > 0) return undefined;
  const settings = value as PodSettings;
  if (!Object.values(settings.env ?? {}).every((one) => SCALARS.has(typeof one))) return undefined;
  const { autoscaleMin = AUTOSCALE_MIN, autoscaleMax = Math.max(autoscaleMin, AUTOSCALE_MAX) } = settings;
  return autoscaleMin <= autoscaleMax ? settings : undefined;
}

const SCALARS: ReadonlySet<string> = new Set(['string', 'number', 'boolean']);

export const AUTOSCALE_MIN = 2;
export const AUTOSCALE_MAX = 5;
/** A waypoint's traffic has one thread, which can use one CPU and no more. */
export const AUTOSCALE_CPU = '700m';
export const GRACE_SECONDS = 30;
