/**
 * What waypoints are sent of one type: each waypoint that which is for it, once everything is consistent.
 *
 * A resource that is no longer for a waypoint, though it is still there, is withdrawn a while later: by then the waypoint
 * has heard that the service which it guarded is not its own any more. One that its user deleted goes at once.
 */
import { type WaypointResourceKind, waypointTypeUrl } from '@ambit/api/waypoint';
import type { Collection, Event } from '@ambit/collections/collection';
import { IndexCollection } from '@ambit/collections/index-by';
import type { Runnable, Scheduler } from '@ambit/collections/scheduler';
import type { Clock } from '@ambit/core/clock';
import type {
  ClientNode,
  EncodedResource,
  FeedChange,
  FeedView,
  FeedViews,
  ResourceFeed,
} from '@ambit/xds/resource-feed';
import { POLICY_WITHDRAWAL_MS } from '../limits.ts';
import { waypointOf } from './client-check.ts';
import { PendingChange } from './pending-change.ts';
import type { WaypointResource } from './encode.ts';

/** Whom a resource is for: every waypoint, or these (`namespace/name` of their Gateways, sorted). */
export type Audience = 'all' | readonly string[];

export interface WaypointEntry {
  readonly resource: WaypointResource;
  readonly audience: Audience;
}

/** No Gateway has this name. */
const EVERYBODY = '*';

export class WaypointFeed implements ResourceFeed, Runnable {
  readonly typeUrl: string;
  /** What a waypoint enforces is there before the service that it is for. */
  readonly urgent = true;
  readonly order: number;
  readonly kind: WaypointResourceKind;
  readonly views: FeedViews = {
    audienceOf: (node: ClientNode) => waypointOf(node) ?? '',
    open: (waypoint: string) => this.#open(waypoint),
  };
  readonly #entries: Collection<string, WaypointEntry>;
  readonly #byWaypoint: Collection<string, readonly WaypointEntry[]>;
  readonly #clock: Clock;
  readonly #pending = new PendingChange();
  readonly #opened = new Set<WaypointView>();

  constructor(
    kind: WaypointResourceKind,
    entries: Collection<string, WaypointEntry>,
    { scheduler, clock }: { readonly scheduler: Scheduler; readonly clock: Clock },
  ) {
    this.kind = kind;
    this.typeUrl = waypointTypeUrl(kind);
    this.#entries = entries;
    this.#clock = clock;
    this.#byWaypoint = new IndexCollection({
      name: `${kind} by waypoint`,
      scheduler,
      from: entries,
      keysOf: ({ audience }) => (audience === 'all' ? [EVERYBODY] : audience),
    });
    this.order = scheduler.nextOrder();
    entries.subscribe((events) => {
      for (const event of events) {
        this.#pending.note(event.key, event.value !== undefined);
        for (const view of this.#opened) view.note(event);
      }
      scheduler.schedule(this);
    });
  }

  /** Called by the scheduler. */
  run(): void {
    this.#pending.tell();
    for (const view of this.#opened) view.tell();
  }

  get size(): number {
    return this.#entries.size;
  }

  *all(): Iterable<EncodedResource> {
    for (const { resource } of this.#entries.values()) yield resource;
  }

  /** With whom each is for. */
  entries(): Iterable<WaypointEntry> {
    return this.#entries.values();
  }

  get(name: string): EncodedResource | undefined {
    return this.#entries.get(name)?.resource;
  }

  resolve(name: string): readonly EncodedResource[] {
    const resource = this.get(name);
    return resource ? [resource] : [];
  }

  subscribe(listener: (change: FeedChange) => void): Disposable {
    return this.#pending.subscribe(listener);
  }

  #open(waypoint: string): FeedView & Disposable {
    const view = new WaypointView({
      typeUrl: this.typeUrl,
      urgent: this.urgent,
      waypoint,
      entries: this.#entries,
      byWaypoint: this.#byWaypoint,
      clock: this.#clock,
      closed: () => void this.#opened.delete(view),
    });
    this.#opened.add(view);
    return view;
  }
}

interface WaypointViewOptions {
  readonly typeUrl: string;
  readonly urgent: boolean;
  /** `namespace/name`; empty: of a client that is no waypoint, which sees nothing. */
  readonly waypoint: string;
  readonly entries: Collection<string, WaypointEntry>;
  readonly byWaypoint: Collection<string, readonly WaypointEntry[]>;
  readonly clock: Clock;
  readonly closed: () => void;
}

class WaypointView implements FeedView, Disposable {
  readonly typeUrl: string;
  readonly urgent: boolean;
  readonly #options: WaypointViewOptions;
  readonly #pending = new PendingChange();
  #isClosed = false;

  constructor(options: WaypointViewOptions) {
    this.#options = options;
    this.typeUrl = options.typeUrl;
    this.urgent = options.urgent;
  }

  note({ key, previous, value }: Event<string, WaypointEntry>): void {
    if (this.#sees(value)) this.#pending.note(key, true);
    else if (!this.#sees(previous)) return;
    else if (value === undefined) this.#pending.note(key, false);
    else this.#options.clock.after(POLICY_WITHDRAWAL_MS, () => this.#withdraw(key));
  }

  tell(): void {
    this.#pending.tell();
  }

  *all(): Iterable<EncodedResource> {
    const { waypoint, byWaypoint } = this.#options;
    if (waypoint === '') return;
    for (const key of [EVERYBODY, waypoint])
      for (const { resource } of byWaypoint.get(key) ?? []) yield resource;
  }

  get(name: string): EncodedResource | undefined {
    const entry = this.#options.entries.get(name);
    return entry && this.#sees(entry) ? entry.resource : undefined;
  }

  resolve(name: string): readonly EncodedResource[] {
    const resource = this.get(name);
    return resource ? [resource] : [];
  }

  subscribe(listener: (change: FeedChange) => void): Disposable {
    return this.#pending.subscribe(listener);
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#options.closed();
  }

  #sees(entry: WaypointEntry | undefined): boolean {
    const { waypoint } = this.#options;
    if (!entry || waypoint === '') return false;
    return entry.audience === 'all' || entry.audience.includes(waypoint);
  }

  #withdraw(name: string): void {
    if (this.#isClosed || this.get(name) !== undefined) return;
    this.#pending.note(name, false);
    this.#pending.tell();
  }
}
