/**
 * The mesh's settings from the text of ConfigMap `istio`, key `mesh`: those that are implemented, as Istio spells them.
 *
 * Fields that are not known are let be, since the same text serves Istio. Of a text that is wrong nothing is used.
 */
import { messageOf } from '@ambit/core/errors';
import type { LabelSelector } from '@ambit/kube/label-selector';
import type { LocalityLbSetting } from '@ambit/kube/resources/networking';
import { parse } from 'yaml';
import { MAX_MESH_CONFIG_CHARS } from '../limits.ts';
import { localityLbSetting } from '../schema/destination-rule.ts';
import { list, map, object, oneOf, schemaProblems, type StructuralSchema, text } from '../schema/openapi.ts';
import {
  accessLogEncoding,
  defaultProviders,
  type ExtensionProvider,
  extensionProviders,
  pathNormalization,
} from './providers.ts';
import { goDurationMs } from '../translate/go-duration.ts';
import { localityProblems } from '../validate/destination-rule.ts';

export type EntryVisibility = 'PUBLIC' | 'NAMESPACE' | 'NONE';

export interface VisibilityPolicy {
  readonly visibility?: string;
  /** All must match; none at all matches everything. */
  readonly matchingRules?: readonly { readonly namespaceSelector?: LabelSelector }[];
}

export interface MeshConfig {
  readonly trustDomain?: string;
  readonly rootNamespace?: string;
  /** Names that the trust domain had, or has elsewhere. */
  readonly trustDomainAliases?: readonly string[];
  /** `/dev/stdout`; empty or absent: none unless a Telemetry asks for one. */
  readonly accessLogFile?: string;
  readonly accessLogEncoding?: string;
  readonly accessLogFormat?: string;
  readonly extensionProviders?: readonly ExtensionProvider[];
  readonly defaultProviders?: {
    readonly tracing?: readonly string[];
    readonly metrics?: readonly string[];
    readonly accessLogging?: readonly string[];
  };
  readonly pathNormalization?: { readonly normalization?: string };
  readonly connectTimeout?: string;
  /** Where nothing else is said of localities. */
  readonly localityLbSetting?: LocalityLbSetting;
  /** A namespace that any of these accepts is looked at; without any, every namespace is. */
  readonly discoverySelectors?: readonly LabelSelector[];
  readonly serviceEntryVisibility?: {
    readonly defaultVisibility?: string;
    readonly policies?: readonly VisibilityPolicy[];
  };
}

const tolerant = (schema: StructuralSchema): StructuralSchema => ({
  ...schema,
  'x-kubernetes-preserve-unknown-fields': true,
});

const selector = object({
  matchLabels: map(text()),
  matchExpressions: list(
    object(
      {
        key: text(undefined, { minLength: 1 }),
        operator: oneOf(['In', 'NotIn', 'Exists', 'DoesNotExist']),
        values: list(text()),
      },
      { required: ['key', 'operator'] },
    ),
  ),
});

const visibility = oneOf(['UNSPECIFIED', 'PUBLIC', 'NAMESPACE', 'NONE']);

const schema = tolerant(
  object({
    trustDomain: text(),
    rootNamespace: text(),
    trustDomainAliases: list(text()),
    accessLogFile: text(),
    accessLogEncoding,
    accessLogFormat: text(),
    extensionProviders,
    defaultProviders: tolerant(defaultProviders),
    pathNormalization: object({ normalization: pathNormalization }),
    connectTimeout: text(),
    localityLbSetting: tolerant(localityLbSetting),
    discoverySelectors: list(selector),
    serviceEntryVisibility: tolerant(
      object({
        defaultVisibility: visibility,
        policies: list(
          tolerant(
            object({ visibility, matchingRules: list(tolerant(object({ namespaceSelector: selector }))) }),
          ),
        ),
      }),
    ),
  }),
);

/** The settings, or what is wrong with the text, with its path. */
export function meshConfigIn(source: string): { readonly config: MeshConfig } | { readonly problem: string } {
  try {
    return { config: readMeshConfig(source) };
  } catch (error) {
    return { problem: messageOf(error) };
  }
}

/** @throws Error saying what is wrong, with its path. */
export function readMeshConfig(source: string): MeshConfig {
  if (source.length > MAX_MESH_CONFIG_CHARS)
    throw new Error(`longer than ${MAX_MESH_CONFIG_CHARS} characters`);
  const value = (parse(source) as unknown) ?? {};
  const problems = schemaProblems(schema, value, 'mesh');
  if (problems.length > 0) throw new Error(problems.join('; '));
  const config = value as MeshConfig;
  const wrong = [
    ...selectorsOf(config).flatMap(expressionProblems),
    ...durationProblems(config),
    ...localityProblems(config.localityLbSetting, 'mesh.localityLbSetting'),
  ];
  if (wrong.length > 0) throw new Error(wrong.join('; '));
  return config;
}

function durationProblems({
  connectTimeout,
  extensionProviders: providers = [],
}: MeshConfig): readonly string[] {
  const timeouts = providers.flatMap(({ name, ...kinds }) => [
    [`mesh.extensionProviders[${name}].timeout`, kinds.envoyExtAuthzHttp?.timeout] as const,
    [`mesh.extensionProviders[${name}].timeout`, kinds.envoyExtAuthzGrpc?.timeout] as const,
  ]);
  return [['mesh.connectTimeout', connectTimeout] as const, ...timeouts].flatMap(([path, given]) =>
    given === undefined || goDurationMs(given) ? [] : [`${path}: "${given}" is not a duration such as 5s`],
  );
}

function selectorsOf({
  discoverySelectors = [],
  serviceEntryVisibility,
}: MeshConfig): readonly LabelSelector[] {
  const rules = (serviceEntryVisibility?.policies ?? []).flatMap((policy) => policy.matchingRules ?? []);
  return [...discoverySelectors, ...rules.flatMap((rule) => rule.namespaceSelector ?? [])];
}

function expressionProblems({ matchExpressions = [] }: LabelSelector): readonly string[] {
  return matchExpressions.flatMap(({ key, operator, values = [] }) => {
    const wants = operator === 'In' || operator === 'NotIn';
    if (wants === values.length > 0) return [];
    return [`${key} ${operator}: ${wants ? 'needs values' : 'takes no values'}`];
  });
}
