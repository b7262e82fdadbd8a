/** What the demo's steps need of the lab and the mesh: few verbs, so that a step reads like what a user would do. */

export interface CommandOutcome {
  readonly status: number;
  readonly output: string;
}

export interface PodName {
  readonly namespace: string;
  readonly name: string;
}

/** A pod's identity over the demo's whole run: the same values mean the same pod, not restarted. */
export interface PodInstance extends PodName {
  readonly uid: string;
  readonly startedAt: string;
  readonly restarts: number;
  /** Enrolled, as the node agent has written on it. */
  readonly enrolled: boolean;
}

/** Two ends of a connection, as both proxies logged it. */
export interface LoggedConnection {
  readonly node: string;
  readonly direction: 'inbound' | 'outbound';
  readonly source: string;
  readonly destination: string;
  readonly sourceIdentity: string | undefined;
  readonly destinationIdentity: string | undefined;
}

export interface World {
  /** Applies documents of YAML, as `kubectl apply -f` does. */
  apply(yaml: string, signal: AbortSignal): Promise<void>;
  /** Deletes what `yaml` names, as `kubectl delete -f` does. */
  remove(yaml: string, signal: AbortSignal): Promise<void>;
  /** Sets a label of a namespace; `undefined` takes it off. */
  labelNamespace(
    namespace: string,
    label: string,
    value: string | undefined,
    signal: AbortSignal,
  ): Promise<void>;
  /** The same of a Service. */
  labelService(
    namespace: string,
    name: string,
    label: string,
    value: string | undefined,
    signal: AbortSignal,
  ): Promise<void>;
  pods(namespace: string, signal: AbortSignal): Promise<readonly PodInstance[]>;
  /** Runs one of the demo's programs in a pod's namespace. */
  runIn(pod: PodName, program: string, args: readonly string[], signal: AbortSignal): Promise<CommandOutcome>;
  /** Runs the `ambit` command. */
  ambit(args: readonly string[], signal: AbortSignal): Promise<CommandOutcome>;
  /** What crosses the link between the nodes for `ms` milliseconds, as a pcap file. */
  capture(ms: number, signal: AbortSignal): Promise<Buffer>;
  /** What the proxies' access logs say of connections that ended since this was asked last. */
  loggedConnections(signal: AbortSignal): Promise<readonly LoggedConnection[]>;
  /** Lines of the log of a waypoint's pods, those that were not read before, which speak of requests. */
  loggedRequests(waypoint: PodName, signal: AbortSignal): Promise<readonly string[]>;
  nowMs(): number;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  monotonicMs(): number;
}

/** Asks until `accepts` holds, at most `timeoutMs` milliseconds; gives the last answer either way. */
export async function settle<T>(
  world: World,
  ask: () => Promise<T>,
  accepts: (value: T) => boolean,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<T> {
  const deadline = world.monotonicMs() + timeoutMs;
  for (;;) {
    const value = await ask();
    if (accepts(value) || world.monotonicMs() >= deadline) return value;
    await world.sleep(200, signal);
  }
}
