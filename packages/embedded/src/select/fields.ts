/** Field selectors: `metadata.name=a,spec.nodeName!=b`. Pure. Which fields may be asked for depends on the kind. */
import { badRequest } from '../errors.ts';
import { at, type JsonObject } from '../json.ts';
import { type Resource, storageKeyOf } from '../kinds/resource.ts';

export interface FieldRequirement {
  readonly field: string;
  readonly equals: boolean;
  readonly value: string;
}

export type FieldSelector = readonly FieldRequirement[];

const COMMON: readonly string[] = ['metadata.name', 'metadata.namespace'];
const OF_KIND: Readonly<Record<string, readonly string[]>> = {
  pods: [
    'spec.nodeName',
    'spec.restartPolicy',
    'spec.schedulerName',
    'spec.serviceAccountName',
    'spec.hostNetwork',
    'status.phase',
    'status.podIP',
    'status.nominatedNodeName',
  ],
  events: [
    'involvedObject.kind',
    'involvedObject.namespace',
    'involvedObject.name',
    'involvedObject.uid',
    'involvedObject.apiVersion',
    'involvedObject.resourceVersion',
    'involvedObject.fieldPath',
    'reason',
    'reportingComponent',
    'source',
    'type',
  ],
  namespaces: ['status.phase'],
  nodes: ['spec.unschedulable'],
  secrets: ['type'],
  services: ['spec.clusterIP', 'spec.type'],
  'replicasets.apps': ['status.replicas'],
  'jobs.batch': ['status.successful'],
};

/** @throws a 400 for a field that this kind cannot be selected by. */
export function parseFieldSelector(text: string, resource: Resource): FieldSelector {
  if (text.trim() === '') return [];
  const allowed = [...COMMON, ...(OF_KIND[storageKeyOf(resource)] ?? [])];
  return text.split(',').map((term): FieldRequirement => {
    const match = /^\s*([^=!\s]+)\s*(==|=|!=)\s*([^=!]*?)\s*$/.exec(term);
    if (!match) {
      throw badRequest(`invalid selector: ${JSON.stringify(term)}; can't understand ${JSON.stringify(term)}`);
    }
    const field = match[1] ?? '';
    if (!allowed.includes(field)) throw badRequest(`field label not supported: ${field}`);
    return { field, equals: match[2] !== '!=', value: match[3] ?? '' };
  });
}

export function matchesFields(selector: FieldSelector, object: JsonObject): boolean {
  return selector.every(({ field, equals, value }) => (fieldText(object, field) === value) === equals);
}

/** As text; what is absent is empty, except for the booleans that Kubernetes selects by. */
function fieldText(object: JsonObject, field: string): string {
  if (field === 'source') return String(at(object, 'source', 'component') ?? '');
  const value = at(object, ...field.split('.'));
  if (value === undefined || value === null)
    return field === 'spec.hostNetwork' || field === 'spec.unschedulable' ? 'false' : '';
  return typeof value === 'object' ? '' : String(value);
}

/** The one object that a selector can select, by `metadata.name=NAME`: who may read that one may list and watch it. */
export function nameSelected(query: URLSearchParams): string {
  const terms = (query.get('fieldSelector') ?? '').split(',');
  const names = terms.flatMap((term) => /^\s*metadata\.name\s*==?\s*([^=!\s]+)\s*$/.exec(term)?.[1] ?? []);
  return names[0] ?? '';
}
