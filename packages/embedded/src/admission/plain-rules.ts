/** The rules of kinds that need few: what changes are allowed, and what a new object gets. */
import { type FieldProblem, forbidden } from '../errors.ts';
import {
  ensureObject,
  equal,
  isObject,
  type Json,
  type JsonObject,
  listAt,
  objectAt,
  setDefault,
  textAt,
} from '../json.ts';
import { nameOf, namespaceOf } from '../object.ts';
import type { Context } from '../objects/context.ts';
import { defaultPodSpec } from './defaults.ts';
import type { KindRules } from './rules.ts';

const immutable = (field: string, value: Json | undefined): FieldProblem => ({
  reason: 'FieldValueInvalid',
  field,
  message: `Invalid value: ${JSON.stringify(value ?? null)}: field is immutable`,
});

export const namespaceRules: KindRules = {
  create: (_, object) => {
    const metadata = ensureObject(object, 'metadata');
    ensureObject(metadata, 'labels')['kubernetes.io/metadata.name'] = textAt(metadata, 'name') ?? '';
    object['status'] = { phase: 'Active' };
  },
  update: (_, next, current, subresource) => {
    if (subresource === 'finalize' || subresource === 'internal') return;
    next['spec'] = { ...objectAt(next, 'spec') };
    const finalizers = objectAt(current, 'spec')['finalizers'];
    if (finalizers === undefined) delete objectAt(next, 'spec')['finalizers'];
    else objectAt(next, 'spec')['finalizers'] = finalizers;
  },
};

const QOS_RESOURCES = ['cpu', 'memory'] as const;

/** Guaranteed, Burstable or BestEffort, as the resources of all containers say. */
function qosClass(spec: JsonObject): string {
  const containers = listAt(spec, 'containers');
  const any = containers.some((container) =>
    ['limits', 'requests'].some((part) => Object.keys(objectAt(container, 'resources', part)).length > 0),
  );
  if (!any) return 'BestEffort';
  const guaranteed = containers.every((container) =>
    QOS_RESOURCES.every((name) => {
      const limit = objectAt(container, 'resources', 'limits')[name];
      return limit !== undefined && equal(limit, objectAt(container, 'resources', 'requests')[name] ?? limit);
    }),
  );
  return guaranteed ? 'Guaranteed' : 'Burstable';
}

const NOT_READY = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'];

export const podRules: KindRules = {
  create: (context, object) => {
    const spec = ensureObject(object, 'spec');
    setDefault(spec, 'serviceAccountName', 'default');
    checkServiceAccount(context, object, textAt(spec, 'serviceAccountName') ?? 'default');
    defaultPodSpec(spec);
    setDefault(spec, 'enableServiceLinks', true);
    setDefault(spec, 'preemptionPolicy', 'PreemptLowerPriority');
    setDefault(spec, 'priority', 0);
    const tolerations = listAt(spec, 'tolerations');
    const missing = NOT_READY.filter(
      (key) => !tolerations.some((t) => textAt(t, 'key') === key || (textAt(t, 'key') ?? '') === ''),
    );
    spec['tolerations'] = [
      ...tolerations,
      ...missing.map(
        (key): Json => ({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 }),
      ),
    ];
    object['status'] = { phase: 'Pending', qosClass: qosClass(spec) };
  },
  problems: (_, object, previous) => {
    const spec = objectAt(object, 'spec');
    return [
      ...containerProblems(spec),
      ...(previous ? podChangeProblems(spec, objectAt(previous, 'spec')) : []),
    ];
  },
};

function checkServiceAccount(context: Context, pod: JsonObject, account: string): void {
  const namespace = namespaceOf(pod);
  if (context.store.get('serviceaccounts', `${namespace}/${account}`)) return;
  throw forbidden(
    { group: '', kind: 'pods', name: nameOf(pod) },
    `error looking up service account ${namespace}/${account}: serviceaccount "${account}" not found`,
  );
}

function containerProblems(spec: JsonObject): readonly FieldProblem[] {
  const problems: FieldProblem[] = [];
  if (listAt(spec, 'containers').length === 0) {
    problems.push({ reason: 'FieldValueRequired', field: 'spec.containers', message: 'Required value' });
  }
  const seen = new Set<string>();
  for (const list of ['initContainers', 'containers']) {
    listAt(spec, list).forEach((container, i) => {
      const name = textAt(container, 'name') ?? '';
      const path = `spec.${list}[${i}]`;
      if (seen.has(name)) {
        problems.push({
          reason: 'FieldValueDuplicate',
          field: `${path}.name`,
          message: `Duplicate value: ${JSON.stringify(name)}`,
        });
      }
      seen.add(name);
      if (!textAt(container, 'image')) {
        problems.push({ reason: 'FieldValueRequired', field: `${path}.image`, message: 'Required value' });
      }
    });
  }
  return problems;
}

/** Of a pod's spec only images, deadlines, tolerations, gates and, once, the node may change. */
function podChangeProblems(next: JsonObject, current: JsonObject): readonly FieldProblem[] {
  if (equal(changeFree(next, current), changeFree(current, current))) return [];
  return [
    {
      reason: 'FieldValueForbidden',
      field: 'spec',
      message:
        'Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
    },
  ];
}

function changeFree(spec: JsonObject, current: JsonObject): JsonObject {
  const {
    tolerations: _,
    activeDeadlineSeconds: __,
    schedulingGates: ___,
    ephemeralContainers: ____,
    ...rest
  } = spec;
  if (!textAt(current, 'nodeName')) delete rest['nodeName'];
  for (const list of ['containers', 'initContainers']) {
    const containers = rest[list];
    if (!Array.isArray(containers)) continue;
    rest[list] = containers.map((container) =>
      isObject(container) ? { ...container, image: '' } : container,
    );
  }
  return rest;
}

export const secretRules: KindRules = {
  problems: (_, object, previous) => {
    if (!previous) return [];
    const locked = previous['immutable'] === true && !equal(object['data'], previous['data']);
    return [
      ...(object['type'] === previous['type'] ? [] : [immutable('type', object['type'])]),
      ...(locked
        ? [
            {
              reason: 'FieldValueForbidden',
              field: 'data',
              message: 'Forbidden: field is immutable when `immutable` is set',
            } as const,
          ]
        : []),
    ];
  },
};

export const roleBindingRules: KindRules = {
  problems: (_, object, previous) =>
    previous && !equal(object['roleRef'], previous['roleRef'])
      ? [
          {
            reason: 'FieldValueInvalid',
            field: 'roleRef',
            message: `Invalid value: ${JSON.stringify(object['roleRef'] ?? null)}: cannot change roleRef`,
          },
        ]
      : [],
};
