/** Objects as the rows that `kubectl get` prints. Pure. */
import { clone, type Json, type JsonObject } from '../json.ts';
import type { PrinterColumn, Resource } from '../kinds/resource.ts';
import { metadataOnly, nameOf } from '../object.ts';
import { age, builtinColumns, type Column } from './columns.ts';
import { durationText } from './duration.ts';
import { jsonPathText } from './json-path.ts';

const NAME: Column = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description: 'Name of the object, unique among its kind in its namespace.',
  priority: 0,
  cell: nameOf,
};

const AGE: Column = {
  name: 'Age',
  type: 'string',
  description: 'Time since the object was created.',
  priority: 0,
  cell: age,
};

export function columnsOf(resource: Resource): readonly Column[] {
  if (!resource.custom) return [NAME, ...(builtinColumns(resource) ?? [AGE])];
  return [NAME, ...(resource.columns.length > 0 ? resource.columns.map(customColumn) : [AGE])];
}

function customColumn({ path, ...column }: PrinterColumn): Column {
  return { ...column, cell: (object, nowMs) => customCell(column.type, jsonPathText(object, path), nowMs) };
}

function customCell(type: string, text: string | undefined, nowMs: number): Json {
  if (text === undefined) return type === 'date' ? '<unknown>' : '';
  if (type === 'date') return durationText(nowMs - Date.parse(text));
  if (type === 'integer') return Number.isSafeInteger(Number(text)) ? Number(text) : text;
  if (type === 'boolean') return text === 'true';
  return text;
}

export interface TableOptions {
  readonly version: string;
  readonly include: 'None' | 'Metadata' | 'Object';
  readonly nowMs: number;
}

export function tableOf(
  resource: Resource,
  objects: readonly JsonObject[],
  metadata: JsonObject,
  { version, include, nowMs }: TableOptions,
): JsonObject {
  const columns = columnsOf(resource);
  return {
    kind: 'Table',
    apiVersion: `meta.k8s.io/${version}`,
    metadata: clone(metadata),
    columnDefinitions: columns.map(({ name, type, format = '', description, priority }) => ({
      name,
      type,
      format,
      description,
      priority,
    })),
    rows: objects.map((object) => ({
      cells: columns.map(({ cell }) => cell(object, nowMs)),
      ...(include !== 'None' && { object: include === 'Object' ? object : metadataOnly(object, version) }),
    })),
  };
}
