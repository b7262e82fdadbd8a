/** What is asked of gRPC's client, and how h2spec's answer is read. Pure. */
import { stripVTControlCharacters } from 'node:util';

/** The policy that hands reports of load to the test; without it nobody looks at them. */
const REPORTS_LOAD = [
  '-service_config_json={"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}',
];
/** How long one call may take says more about the machine than about us. */
const SOAK = [
  '-soak_iterations=100',
  '-soak_overall_timeout_seconds=120',
  '-soak_per_iteration_max_acceptable_latency_ms=30000',
];

/**
 * Every case that asks no authority for credentials, with the client's other arguments. One is left out: pick_first_unary
 * asks servers for their names, and this one has none.
 */
export const GRPC_CASES: Readonly<Record<string, readonly string[]>> = {
  empty_unary: [],
  large_unary: [],
  client_streaming: [],
  server_streaming: [],
  ping_pong: [],
  empty_stream: [],
  timeout_on_sleeping_server: [],
  cancel_after_begin: [],
  cancel_after_first_response: [],
  status_code_and_message: [],
  special_status_message: [],
  custom_metadata: [],
  unimplemented_method: [],
  unimplemented_service: [],
  orca_per_rpc: REPORTS_LOAD,
  orca_oob: REPORTS_LOAD,
  rpc_soak: SOAK,
  channel_soak: SOAK,
};

/** h2spec's cases that a waypoint cannot meet, and why. */
export const NOT_APPLICABLE: Readonly<Record<string, string>> = {
  'Sends invalid connection preface':
    'the port takes HTTP/1.1 as well, so what does not begin with the preface is that: it gets 400 and a close',
};

export interface H2specOutcome {
  readonly passed: number;
  /** What h2spec left out of its own accord. */
  readonly skipped: number;
  readonly failed: number;
  /** Titles of what failed. */
  readonly failures: readonly string[];
}

/** `undefined` when it did not come to its end. */
export function h2specOutcome(output: string): H2specOutcome | undefined {
  const plain = stripVTControlCharacters(output);
  const [, passed, skipped, failed] =
    /(?:^|\n)\d+ tests, (\d+) passed, (\d+) skipped, (\d+) failed/.exec(plain) ?? [];
  if (passed === undefined) return undefined;
  const [, details = ''] = plain.split(/\nFailures: *\n/);
  const failures = [...details.matchAll(/^\s*× (?:\d+: )?(.*)$/gm)].map(([, title = '']) => title.trim());
  return { passed: Number(passed), skipped: Number(skipped), failed: Number(failed), failures };
}
