/** What can go wrong while rules are read or applied. */
import { codeOf, MeshError } from '@ambit/core/errors';

/** Rules could not be read, rendered or applied; the pod's rules are as they were before. */
export class RulesError extends MeshError {
  readonly code: string = 'RULES';
  readonly side = 'internal';
}

const HINDRANCES: ReadonlySet<string> = new Set(['EAGAIN', 'ENOMEM', 'EMFILE', 'ENFILE']);

/** A program failed; its message is what it wrote to standard error. */
export class CommandError extends RulesError {
  override readonly code = 'RULES_COMMAND';
  readonly file: string;
  readonly exitCode: number | undefined;
  readonly stderr: string;

  constructor(file: string, exitCode: number | undefined, stderr: string, options?: ErrorOptions) {
    super(`${file} failed (${exitCode === undefined ? 'not run' : `exit ${exitCode}`}): ${stderr}`, options);
    this.file = file;
    this.exitCode = exitCode;
    this.stderr = stderr;
  }

  /** There is no such program. */
  get isMissing(): boolean {
    return codeOf(this.cause) === 'ENOENT';
  }

  /** It was not started for want of processes, memory or descriptors, which others give back. */
  get isHindered(): boolean {
    return HINDRANCES.has(codeOf(this.cause) ?? '');
  }
}
