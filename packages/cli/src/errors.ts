/** What ends a command; each is told to the user as one sentence. */
import { MeshError } from '@ambit/core/errors';

/** The command line is wrong; the message says how, and names the help. */
export class UsageError extends MeshError {
  readonly code = 'USAGE';
  readonly side = 'downstream';
}

/** Nothing in the cluster is what the user named. */
export class NotFoundError extends MeshError {
  readonly code = 'NOT_FOUND';
  readonly side = 'downstream';
}

/** A proxy could not be asked, or what it said makes no sense. */
export class ProxyError extends MeshError {
  readonly code = 'PROXY';
  readonly side = 'upstream';
}

/** What was asked for did not happen in time; it is written, and may still come. */
export class NotInTimeError extends MeshError {
  readonly code = 'NOT_IN_TIME';
  readonly side = 'upstream';
}

/** An installation cannot be done, or was given up; the message says what stands in the way and what to do. */
export class InstallError extends MeshError {
  readonly code = 'INSTALL';
  readonly side = 'downstream';
}
