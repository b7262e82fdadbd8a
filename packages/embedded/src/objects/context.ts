/** What every operation on objects works with. */
import type { Clock, Random } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import type { User } from '../access/user.ts';
import type { JsonObject } from '../json.ts';
import type { Resource } from '../kinds/resource.ts';
import type { ResourceRegistry } from '../kinds/registry.ts';
import type { ObjectStore } from '../storage/store.ts';

/** What an admission webhook is asked about. */
export interface AdmissionQuestion {
  readonly resource: Resource;
  readonly subresource: string;
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE';
  readonly namespace: string;
  readonly name: string;
  readonly object: JsonObject | undefined;
  readonly oldObject: JsonObject | undefined;
  readonly user: User;
  readonly dryRun: boolean;
}

/** Asked before every write; throws a `StatusError` to refuse it. Returns warnings for the client. */
export type Admission = (question: AdmissionQuestion) => Promise<readonly string[]>;

export interface Context {
  readonly store: ObjectStore;
  readonly registry: ResourceRegistry;
  readonly admission: Admission;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** How one write was asked for, beyond the object itself. */
export interface WriteOptions {
  readonly user: User;
  readonly dryRun: boolean;
  readonly fieldManager: string;
  readonly fieldValidation: 'Ignore' | 'Warn' | 'Strict';
  /** Grows by what the client should be told. */
  readonly warnings: string[];
}
