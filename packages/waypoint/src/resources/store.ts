/** The resources of the control plane, kept, decoded and joined: what `xDS` writes and everything else reads. */
import type { WaypointResourceKind } from '@ambit/api/waypoint';
import type { Watch } from '@ambit/core/watch';
import type { ServiceKey } from '@ambit/model/address';
import type { Snapshot } from './snapshot.ts';

export interface ResourceUpsert {
  /** Of the xDS resource. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** A resource that could not be read: NACKed, and refusing what it would have applied to. */
export interface Rejection {
  readonly kind: WaypointResourceKind;
  readonly name: string;
  /** What is wrong with it, in words. */
  readonly problem: string;
}

/** What a batch touched. */
export interface ResourceChange {
  readonly version: number;
  readonly kinds: ReadonlySet<WaypointResourceKind>;
  /** Services of which a `PortConfig` or a `Destination` is another one now; `all`: any may be. */
  readonly services: ReadonlySet<ServiceKey> | 'all';
}

export interface ResourceStore {
  readonly snapshot: Snapshot;
  /** Listeners are called after each batch, when all of it can be seen. */
  readonly changes: Watch<ResourceChange>;
  /** Applies one response of the control plane whole. Removals come first. */
  apply(
    kind: WaypointResourceKind,
    upserts: readonly ResourceUpsert[],
    removed: readonly string[],
  ): readonly Rejection[];
}
