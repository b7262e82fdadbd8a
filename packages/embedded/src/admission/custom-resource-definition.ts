/** CustomResourceDefinitions: defaults, what must be right about them, and the conditions that make one served. */
import { isDnsSubdomain } from '@ambit/core/dns-subdomain';
import type { FieldProblem } from '../errors.ts';
import {
  clone,
  ensureObject,
  isObject,
  type Json,
  type JsonObject,
  listAt,
  objectAt,
  setDefault,
  textAt,
} from '../json.ts';
import type { PrinterColumn, Resource, Verb } from '../kinds/resource.ts';
import { nameOf, timestamp } from '../object.ts';
import { isDnsLabel } from '../objects/names.ts';
import { structuralSchema } from '../schema/structural.ts';
import type { KindRules } from './rules.ts';

const VERBS: readonly Verb[] = [
  'delete',
  'deletecollection',
  'get',
  'list',
  'patch',
  'create',
  'update',
  'watch',
];

export const crdRules: KindRules = {
  create: (context, object) => {
    complete(object);
    object['status'] = acceptedStatus(object, undefined, context.clock.now());
  },
  update: (context, next, current, subresource) => {
    if (subresource !== '') return;
    complete(next);
    next['status'] = acceptedStatus(next, current, context.clock.now());
  },
  problems: (_, object) => crdProblems(object),
  warnings: (object) =>
    JSON.stringify(object['spec'] ?? {}).includes('"x-kubernetes-validations"')
      ? ['x-kubernetes-validations: the embedded API stores these CEL rules and does not evaluate them']
      : [],
};

function complete(object: JsonObject): void {
  const spec = ensureObject(object, 'spec');
  const names = ensureObject(spec, 'names');
  const kind = textAt(names, 'kind') ?? '';
  setDefault(names, 'singular', kind.toLowerCase());
  setDefault(names, 'listKind', `${kind}List`);
  setDefault(spec, 'conversion', { strategy: 'None' });
}

function acceptedStatus(object: JsonObject, previous: JsonObject | undefined, nowMs: number): JsonObject {
  const old = listAt(previous, 'status', 'storedVersions');
  const stored = listAt(object, 'spec', 'versions')
    .filter((version) => objectAt(version)['storage'] === true)
    .map((version) => textAt(version, 'name') ?? '');
  const condition = (type: string, reason: string, message: string): Json => ({
    type,
    status: 'True',
    lastTransitionTime: timestamp(nowMs),
    reason,
    message,
  });
  const conditions = listAt(previous, 'status', 'conditions');
  return {
    conditions:
      conditions.length > 0
        ? clone(conditions)
        : [
            condition('NamesAccepted', 'NoConflicts', 'no conflicts found'),
            condition('Established', 'InitialNamesAccepted', 'the initial names have been accepted'),
          ],
    acceptedNames: clone(objectAt(object, 'spec', 'names')),
    storedVersions: [...new Set([...old, ...stored])],
  };
}

function crdProblems(object: JsonObject): readonly FieldProblem[] {
  const spec = objectAt(object, 'spec');
  const names = objectAt(spec, 'names');
  const group = textAt(spec, 'group') ?? '';
  const plural = textAt(names, 'plural') ?? '';
  const problems: FieldProblem[] = [];
  const bad = (field: string, value: Json | undefined, why: string) =>
    void problems.push({
      reason: 'FieldValueInvalid',
      field,
      message: `Invalid value: ${JSON.stringify(value ?? '')}: ${why}`,
    });
  if (nameOf(object) !== `${plural}.${group}`)
    bad('metadata.name', nameOf(object), 'must be spec.names.plural+"."+spec.group');
  if (!isDnsSubdomain(group) || !group.includes('.'))
    bad('spec.group', group, 'should be a domain with at least one dot');
  if (!isDnsLabel(plural)) bad('spec.names.plural', plural, 'must be a DNS label');
  if (!textAt(names, 'kind'))
    problems.push({ reason: 'FieldValueRequired', field: 'spec.names.kind', message: 'Required value' });
  if (!['Namespaced', 'Cluster'].includes(textAt(spec, 'scope') ?? '')) {
    bad('spec.scope', spec['scope'], 'must be Namespaced or Cluster');
  }
  if (textAt(spec, 'conversion', 'strategy') === 'Webhook') {
    bad(
      'spec.conversion.strategy',
      'Webhook',
      'the embedded API converts by changing the version alone; supported values: "None"',
    );
  }
  const versions = listAt(spec, 'versions');
  if (versions.filter((version) => objectAt(version)['storage'] === true).length !== 1) {
    bad('spec.versions', versions.length, 'must have exactly one version marked as storage version');
  }
  versions.forEach((version, i) => {
    const path = `spec.versions[${i}]`;
    if (!isDnsLabel(textAt(version, 'name') ?? ''))
      bad(`${path}.name`, textAt(version, 'name'), 'must be a DNS label');
    const source = objectAt(version, 'schema')['openAPIV3Schema'];
    if (!isObject(source)) {
      problems.push({
        reason: 'FieldValueRequired',
        field: `${path}.schema.openAPIV3Schema`,
        message: 'Required value: schemas are required',
      });
      return;
    }
    const read = structuralSchema(source, `${path}.schema.openAPIV3Schema`);
    for (const { path: field, what } of read.problems)
      problems.push({ reason: 'FieldValueInvalid', field, message: what });
    if (read.schema.type !== 'object')
      bad(`${path}.schema.openAPIV3Schema.type`, source['type'], 'must be object at the root');
  });
  return problems;
}

/** The resources that a stored CRD serves, one per served version. */
export function resourcesOfCrd(crd: JsonObject): readonly Resource[] {
  const spec = objectAt(crd, 'spec');
  const names = objectAt(spec, 'names');
  const texts = (field: string) => listAt(names, field).filter((item) => typeof item === 'string');
  return listAt(spec, 'versions')
    .filter(isObject)
    .filter((version) => version['served'] === true)
    .map((version): Resource => {
      const group = textAt(spec, 'group') ?? '';
      const name = textAt(version, 'name') ?? '';
      const kind = textAt(names, 'kind') ?? '';
      const scale = objectAt(version, 'subresources')['scale'];
      const selector = textAt(scale, 'labelSelectorPath');
      return {
        group,
        version: name,
        kind,
        plural: textAt(names, 'plural') ?? '',
        singular: textAt(names, 'singular') ?? kind.toLowerCase(),
        shortNames: texts('shortNames'),
        categories: texts('categories'),
        namespaced: spec['scope'] === 'Namespaced',
        verbs: VERBS,
        hasStatus: isObject(objectAt(version, 'subresources')['status']),
        ...(isObject(scale) && {
          scale: {
            spec: textAt(scale, 'specReplicasPath') ?? '.spec.replicas',
            status: textAt(scale, 'statusReplicasPath') ?? '.status.replicas',
            ...(selector !== undefined && { selector }),
          },
        }),
        hasGeneration: true,
        custom: true,
        answersDeleted: false,
        schema: structuralSchema(objectAt(version, 'schema', 'openAPIV3Schema'), '').schema,
        source: objectAt(version, 'schema', 'openAPIV3Schema'),
        schemaName: `${group.split('.').reverse().join('.')}.${name}.${kind}`,
        columns: listAt(version, 'additionalPrinterColumns').filter(isObject).map(columnOf),
      };
    });
}

function columnOf(column: JsonObject): PrinterColumn {
  const format = textAt(column, 'format');
  return {
    name: textAt(column, 'name') ?? '',
    type: textAt(column, 'type') ?? 'string',
    ...(format !== undefined && { format }),
    description: textAt(column, 'description') ?? '',
    priority: Number(column['priority'] ?? 0),
    path: textAt(column, 'jsonPath') ?? '',
  };
}

/** `object` as another version of its resource says it: the versions differ in name alone. */
export const asVersion = (object: JsonObject, apiVersion: string): JsonObject =>
  object['apiVersion'] === apiVersion ? object : { ...object, apiVersion };
