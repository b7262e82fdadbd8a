/**
 * What validation finds: errors make an object invalid; refusals are mistakes in one that is valid, and keep it out at
 * admission without changing what it does where it is already; warnings are shown to whoever applies it.
 */
import { MAX_PROBLEMS } from '../limits.ts';
import { type StructuralSchema, withoutEffect } from '../schema/openapi.ts';

export interface Findings {
  readonly errors: readonly string[];
  readonly refusals: readonly string[];
  readonly warnings: readonly string[];
}

/** Collects findings; each is `path: problem`. Of each sort so many as are told, and no more. */
export class Collector implements Findings {
  readonly errors: string[] = [];
  readonly refusals: string[] = [];
  readonly warnings: string[] = [];

  error(path: string, problem: string): void {
    add(this.errors, path, problem);
  }

  refuse(path: string, problem: string): void {
    add(this.refusals, path, problem);
  }

  warn(path: string, problem: string): void {
    add(this.warnings, path, problem);
  }
}

function add(to: string[], path: string, problem: string): void {
  if (to.length < MAX_PROBLEMS) to.push(`${path}: ${problem}`);
}

/** Of each field that its definition calls one without effect. @param spec - Fits `schema`. */
export function warnOfNoEffect(schema: StructuralSchema, spec: unknown, into: Collector): void {
  for (const path of withoutEffect(schema, spec, 'spec')) into.warn(path, 'has no effect at a waypoint');
}
