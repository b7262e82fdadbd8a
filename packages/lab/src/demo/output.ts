/** What becomes of a program whose output nobody reads any longer, as after `| head`. */

/** Aborted with the error of the first of these streams that fails. From then on, what is written to them is lost. */
export function outputFailure(...streams: readonly NodeJS.WritableStream[]): AbortSignal {
  const abort = new AbortController();
  for (const stream of streams) stream.on('error', (error: Error) => abort.abort(error));
  return abort.signal;
}

/** The reader went away; nothing is wrong with where it went. */
export function isReaderGone(signal: AbortSignal): boolean {
  const reason: unknown = signal.reason;
  return reason instanceof Error && 'code' in reason && reason.code === 'EPIPE';
}
