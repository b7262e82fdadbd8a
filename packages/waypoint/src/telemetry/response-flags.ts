/** Envoy's response flags: their letters, words and bits. */

/** In the order of their bits. */
const FLAGS = [
  ['LH', 'FailedLocalHealthCheck'],
  ['UH', 'NoHealthyUpstream'],
  ['UT', 'UpstreamRequestTimeout'],
  ['LR', 'LocalReset'],
  ['UR', 'UpstreamRemoteReset'],
  ['UF', 'UpstreamConnectionFailure'],
  ['UC', 'UpstreamConnectionTermination'],
  ['UO', 'UpstreamOverflow'],
  ['NR', 'NoRouteFound'],
  ['DI', 'DelayInjected'],
  ['FI', 'FaultInjected'],
  ['RL', 'RateLimited'],
  ['UAEX', 'UnauthorizedExternalService'],
  ['RLSE', 'RateLimitServiceError'],
  ['DC', 'DownstreamConnectionTermination'],
  ['URX', 'UpstreamRetryLimitExceeded'],
  ['SI', 'StreamIdleTimeout'],
  ['IH', 'InvalidEnvoyRequestHeaders'],
  ['DPE', 'DownstreamProtocolError'],
  ['UMSDR', 'UpstreamMaxStreamDurationReached'],
  ['RFCF', 'ResponseFromCacheFilter'],
  ['NFCF', 'NoFilterConfigFound'],
  ['DT', 'DurationTimeout'],
  ['UPE', 'UpstreamProtocolError'],
  ['NC', 'NoClusterFound'],
  ['OM', 'OverloadManagerTerminated'],
  ['DF', 'DnsResolutionFailed'],
  ['DO', 'DropOverload'],
  ['DR', 'DownstreamRemoteReset'],
] as const;

/** In letters. */
export type ResponseFlag = (typeof FLAGS)[number][0];

const BY_LETTERS: ReadonlyMap<string, { readonly word: string; readonly bit: number }> = new Map(
  FLAGS.map(([letters, word], index) => [letters, { word, bit: 2 ** index }]),
);

/** @param flags - Letters, joined by commas, or `-`. */
export function flagWords(flags: string): string {
  return flags
    .split(',')
    .map((letters) => BY_LETTERS.get(letters)?.word ?? letters)
    .join(',');
}

/** As a number, a bit for each. */
export function flagBits(flags: string): number {
  return flags.split(',').reduce((sum, letters) => sum + (BY_LETTERS.get(letters)?.bit ?? 0), 0);
}
