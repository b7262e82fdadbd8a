/** JSON Patch, RFC 6902. Pure: works on a copy. */
import { badRequest, StatusError } from '../errors.ts';
import { clone, equal, isObject, type Json, textAt } from '../json.ts';
import { PATCH_OPERATIONS } from '../limits.ts';

/** @throws a 400 for what is no patch, a 422 for one that does not fit the object. */
export function jsonPatch(document: Json, patch: Json): Json {
  if (!Array.isArray(patch)) throw badRequest('a JSON patch must be a list of operations');
  if (patch.length > PATCH_OPERATIONS) {
    throw new StatusError(
      'RequestEntityTooLarge',
      `The allowed maximum operations in a JSON patch is ${PATCH_OPERATIONS}, got ${patch.length}`,
    );
  }
  return patch.reduce<Json>((current, operation) => applyOperation(current, operation), clone(document));
}

function applyOperation(document: Json, operation: Json): Json {
  const path = pointer(operation, 'path');
  const value = () => {
    const given = isObject(operation) ? operation['value'] : undefined;
    if (given === undefined) throw badRequest('a JSON patch operation lacks its value');
    return clone(given);
  };
  switch (textAt(operation, 'op')) {
    case 'add':
      return write(document, path, value(), 'add');
    case 'replace':
      read(document, path);
      return write(document, path, value(), 'replace');
    case 'remove':
      return remove(document, path);
    case 'test':
      if (!equal(find(document, path) ?? null, value())) {
        throw unfit(`testing path ${textAt(operation, 'path')} value failed`);
      }
      return document;
    case 'copy':
      return write(document, path, clone(read(document, pointer(operation, 'from'))), 'add');
    case 'move': {
      const from = pointer(operation, 'from');
      if (from.length < path.length && from.every((step, i) => step === path[i])) {
        throw unfit('a value cannot be moved into itself');
      }
      const moved = read(document, from);
      return write(remove(document, from), path, moved, 'add');
    }
    default:
      throw badRequest(
        `unexpected kind of JSON patch operation: ${JSON.stringify(textAt(operation, 'op') ?? '')}`,
      );
  }
}

const unfit = (why: string): StatusError =>
  new StatusError('Invalid', `the server rejected our request due to an error in our request: ${why}`);

function pointer(operation: Json, field: string): readonly string[] {
  const text = textAt(operation, field);
  if (text === undefined || (text !== '' && !text.startsWith('/'))) {
    throw badRequest(`a JSON patch operation needs a ${field} that starts with a slash`);
  }
  if (text === '') return [];
  return text
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function read(document: Json, path: readonly string[]): Json {
  const found = find(document, path);
  if (found === undefined) throw unfit(`missing path: /${path.join('/')}`);
  return found;
}

/** `undefined`: there is nothing there. To a test that is null, as in the API server. */
function find(document: Json, path: readonly string[]): Json | undefined {
  let current = document;
  for (const step of path) {
    const next = Array.isArray(current) ? current[index(step, current.length - 1)] : member(current, step);
    if (next === undefined) return undefined;
    current = next;
  }
  return current;
}

const member = (value: Json, step: string): Json | undefined =>
  isObject(value) && Object.hasOwn(value, step) ? value[step] : undefined;

function index(step: string, last: number): number {
  const number = Number(step);
  if (!/^(?:0|[1-9]\d{0,8})$/.test(step) || number > last) throw unfit(`no such index: ${step}`);
  return number;
}

function write(document: Json, path: readonly string[], value: Json, how: 'add' | 'replace'): Json {
  const step = path[path.length - 1];
  if (step === undefined) return value;
  const parent = read(document, path.slice(0, -1));
  if (Array.isArray(parent)) {
    if (how === 'replace') parent[index(step, parent.length - 1)] = value;
    else parent.splice(step === '-' ? parent.length : index(step, parent.length), 0, value);
  } else if (isObject(parent) && step !== '__proto__') parent[step] = value;
  else throw unfit(`nothing can be put at /${path.join('/')}`);
  return document;
}

function remove(document: Json, path: readonly string[]): Json {
  const step = path[path.length - 1];
  if (step === undefined) throw unfit('the whole document cannot be removed');
  read(document, path);
  const parent = read(document, path.slice(0, -1));
  if (Array.isArray(parent)) parent.splice(index(step, parent.length - 1), 1);
  else if (isObject(parent)) delete parent[step];
  return document;
}
