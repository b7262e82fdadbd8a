/** What is wrong with an object's metadata, whatever its kind. Pure. */
import type { FieldProblem } from '../errors.ts';
import { isObject, type JsonObject, listAt, objectAt, textAt } from '../json.ts';
import type { Resource } from '../kinds/resource.ts';
import { nameOf } from '../object.ts';
import { isLabelKey, isLabelValue } from '../select/labels.ts';
import { nameProblem } from './names.ts';

const ANNOTATION_BYTES = 256 * 1024;

const problem = (field: string, value: unknown, why: string): FieldProblem => ({
  reason: 'FieldValueInvalid',
  field,
  message: `Invalid value: ${JSON.stringify(value)}: ${why}`,
});

const SAY_KEY =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const SAY_VALUE =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

export function metadataProblems(resource: Resource, object: JsonObject): readonly FieldProblem[] {
  const metadata = objectAt(object, 'metadata');
  const name = nameProblem(resource, nameOf(object));
  return [
    ...(name ? [name] : []),
    ...labelProblems(objectAt(metadata, 'labels')),
    ...annotationProblems(objectAt(metadata, 'annotations')),
    ...listAt(metadata, 'finalizers').flatMap((finalizer, i) =>
      typeof finalizer === 'string' && isLabelKey(finalizer)
        ? []
        : [problem(`metadata.finalizers[${i}]`, finalizer, SAY_KEY)],
    ),
    ...ownerProblems(listAt(metadata, 'ownerReferences').filter(isObject)),
  ];
}

function labelProblems(labels: JsonObject): readonly FieldProblem[] {
  return Object.entries(labels).flatMap(([key, value]) => [
    ...(isLabelKey(key) ? [] : [problem('metadata.labels', key, SAY_KEY)]),
    ...(typeof value === 'string' && isLabelValue(value) && value.length <= 63
      ? []
      : [problem('metadata.labels', value, SAY_VALUE)]),
  ]);
}

function annotationProblems(annotations: JsonObject): readonly FieldProblem[] {
  let size = 0;
  const problems = Object.entries(annotations).flatMap(([key, value]) => {
    size += key.length + String(value).length;
    return isLabelKey(key.toLowerCase()) ? [] : [problem('metadata.annotations', key, SAY_KEY)];
  });
  if (size <= ANNOTATION_BYTES) return problems;
  return [
    ...problems,
    {
      reason: 'FieldValueTooLong',
      field: 'metadata.annotations',
      message: `Too long: may not be more than ${ANNOTATION_BYTES} bytes`,
    },
  ];
}

function ownerProblems(owners: readonly JsonObject[]): readonly FieldProblem[] {
  const controllers = owners.filter((owner) => owner['controller'] === true).length;
  return [
    ...owners.flatMap((owner, i) =>
      ['apiVersion', 'kind', 'name', 'uid']
        .filter((field) => !textAt(owner, field))
        .map(
          (field): FieldProblem => ({
            reason: 'FieldValueInvalid',
            field: `metadata.ownerReferences[${i}].${field}`,
            message: `Invalid value: "": must not be empty`,
          }),
        ),
    ),
    ...(controllers > 1
      ? [
          problem(
            'metadata.ownerReferences',
            controllers,
            'Only one reference can have Controller set to true',
          ),
        ]
      : []),
  ];
}
