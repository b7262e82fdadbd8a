/**
 * What a delta xDS server serves of one type: named bytes that change.
 *
 * The feed owns names, versions and bytes; the server owns clients, streams and pacing. A feed is read synchronously
 * and must be consistent at the moment it notifies: whatever `changed` names, `get` returns.
 */

/** One resource as it goes out. Immutable: a change is a new object, since its encoding is kept with it. */
export interface EncodedResource {
  readonly name: string;
  /**
   * Changes when `value` does ({@link contentVersion}); a reconnecting client that already holds this version is not
   * sent it again. Empty: always sent.
   */
  readonly version: string;
  /** Other keys by which it may be asked for: `network/ip`. */
  readonly aliases: readonly string[];
  /** The payload of the resource's `Any`, whose type URL is the feed's. */
  readonly value: Uint8Array;
}

/** Names only; the resources themselves are read when a client can take them. */
export interface FeedChange {
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

/** Who asks, as it says in its first request. The server has authenticated the stream, not these words. */
export interface ClientNode {
  readonly id: string;
  /** Text values of the node's metadata: `NODE_NAME`, `NETWORK`, … */
  readonly metadata: Readonly<Record<string, string>>;
}

/** What one client sees of one type. */
export interface FeedView {
  /** `type.googleapis.com/istio.workload.Address`. */
  readonly typeUrl: string;
  /**
   * Goes out before other types whenever both are owed: what restricts comes before what it restricts, also to a client
   * that did not read for a while. Default: types take turns.
   */
  readonly urgent?: boolean;
  all(): Iterable<EncodedResource>;
  get(name: string): EncodedResource | undefined;
  /**
   * What a client that asked for `key` (a name, or an alias) gets: nothing, if there is no such thing. May be more than
   * one: a service brings its workloads.
   */
  resolve(key: string): readonly EncodedResource[];
  /** Resources that a client which asks for single names gets besides those: the workloads of its node. */
  residents?(node: ClientNode): readonly EncodedResource[];
  subscribe(listener: (change: FeedChange) => void): Disposable;
}

/** All there is of one type. */
export interface ResourceFeed extends FeedView {
  /** Absent: every client sees all of it. */
  readonly views?: FeedViews;
}

/** How clients see parts of a feed. Clients of one audience see the same, and share its encodings. */
export interface FeedViews {
  /** Which audience a client belongs to, for as long as its stream lives. */
  audienceOf(node: ClientNode): string;
  /** What that audience sees, until disposed of. */
  open(audience: string): FeedView & Disposable;
}
