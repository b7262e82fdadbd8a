/** How the command ends; part of its interface, so a number never changes its meaning. */
export const EXIT = {
  /** Done; or, of `why`: the connection is allowed. */
  ok: 0,
  /** It could not be done: no cluster, no permission, a proxy's answer that cannot be read. */
  error: 1,
  /** The command line is wrong. */
  usage: 2,
  /** Of `why`: the connection is refused. */
  refused: 3,
  /** Of `why`: a proxy could not be asked, so it is not known. Of `status`, `analyze`, `preflight`: something is not well, or not known. */
  unknown: 4,
  /** Of `enroll`, `unenroll`, `install`: it is written, but not every pod followed in time. */
  timeout: 5,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];
