/**
 * From a request's JSON to an object of one kind: the right apiVersion and kind, only known fields, types as the
 * kind has them, defaults filled in. Pure but for the warnings it adds.
 */
import { defaultBuiltin } from '../admission/defaults.ts';
import { badRequest, type FieldProblem, invalid, StatusError } from '../errors.ts';
import { isObject, type Json, type JsonObject, objectAt } from '../json.ts';
import { groupVersionOf, kindSubjectOf, type Resource } from '../kinds/resource.ts';
import { WARNINGS } from '../limits.ts';
import { apiVersionOf, kindOf, nameOf } from '../object.ts';
import { objectMetadataSchema } from '../schema/builtin-schema.ts';
import { applyDefaults } from '../schema/defaults.ts';
import { pruneObject } from '../schema/prune.ts';
import { validate } from '../schema/validate.ts';
import type { WriteOptions } from './context.ts';

/** @throws a 400 when it is no object, of another kind, or has unknown fields and validation is strict. */
export function readObject(
  resource: Resource,
  body: Json,
  options: Pick<WriteOptions, 'fieldValidation' | 'warnings'>,
): JsonObject {
  if (!isObject(body)) throw badRequest('the object provided is not a JSON object');
  checkKind(resource, body);
  const { object, unknown } = pruneObject(resource.schema, body, { dropNulls: !resource.custom });
  if (unknown.length > 0 && options.fieldValidation !== 'Ignore') {
    const words = [...new Set(unknown)]
      .slice(0, WARNINGS)
      .map((path) => `unknown field ${JSON.stringify(path)}`);
    if (options.fieldValidation === 'Warn') options.warnings.push(...words);
    else if (resource.custom) throw badRequest(`strict decoding error: ${words.join(', ')}`);
    else {
      throw badRequest(
        `${resource.kind} in version ${JSON.stringify(resource.version)} cannot be handled as a ${resource.kind}: strict decoding error: ${words.join(', ')}`,
      );
    }
  }
  object['apiVersion'] = groupVersionOf(resource);
  object['kind'] = resource.kind;
  if (!isObject(object['metadata'])) object['metadata'] = {};
  checkTypes(resource, object);
  fillIn(resource, object);
  return object;
}

/** Fills in what the client left out, in place. */
export function fillIn(resource: Resource, object: JsonObject): void {
  if (resource.custom) applyDefaults(resource.schema, object);
  else defaultBuiltin(resource, object);
}

/** What is wrong with the parts that the schema describes. */
export function schemaProblems(resource: Resource, object: JsonObject): readonly FieldProblem[] {
  const { metadata: _, apiVersion: __, kind: ___, ...rest } = object;
  return validate(withoutEnvelope(resource), rest);
}

/** Built-in kinds name apiVersion, kind and metadata among their fields; they are checked apart. */
function withoutEnvelope(resource: Resource): Resource['schema'] {
  const { required } = resource.schema;
  if (!required?.some((name) => name === 'metadata' || name === 'kind' || name === 'apiVersion')) {
    return resource.schema;
  }
  return Object.create(resource.schema, {
    required: { value: required.filter((name) => !['metadata', 'kind', 'apiVersion'].includes(name)) },
  }) as Resource['schema'];
}

function checkKind(resource: Resource, body: JsonObject): void {
  const [apiVersion, kind] = [apiVersionOf(body), kindOf(body)];
  if (kind !== '' && kind !== resource.kind) {
    throw badRequest(
      `the object provided is unrecognized (must be of type ${resource.kind}): it is of kind ${JSON.stringify(kind)}`,
    );
  }
  const expected = groupVersionOf(resource);
  if (apiVersion !== '' && apiVersion !== expected) {
    throw badRequest(
      `the API version in the data (${apiVersion}) does not match the expected API version (${expected})`,
    );
  }
}

/** A built-in kind whose fields have other types cannot be read at all; a custom one is invalid. */
function checkTypes(resource: Resource, object: JsonObject): void {
  const metadata = validate(objectMetadataSchema(), objectAt(object, 'metadata'), 'metadata');
  const wrong = metadata.filter((problem) => problem.reason === 'FieldValueTypeInvalid');
  if (resource.custom && wrong.length > 0) throw invalid(kindSubjectOf(resource, nameOf(object)), wrong);
  const problems = resource.custom ? wrong : [...wrong, ...typeProblems(resource, object)];
  if (problems.length === 0) return;
  const list = problems.map(({ field, message }) => `${field}: ${message}`).join(', ');
  throw new StatusError(
    'BadRequest',
    `${resource.kind} in version ${JSON.stringify(resource.version)} cannot be handled as a ${resource.kind}: ${list}`,
  );
}

const typeProblems = (resource: Resource, object: JsonObject): readonly FieldProblem[] =>
  schemaProblems(resource, object).filter((problem) => problem.reason === 'FieldValueTypeInvalid');
