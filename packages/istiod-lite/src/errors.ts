/** What the control plane refuses, each with a code that never changes its meaning. */
import { MeshError } from '@ambit/core/errors';

/** Somebody who could not prove who they are, or asked for what is not theirs. The message is for our log alone. */
export class AuthenticationError extends MeshError {
  readonly code = 'AUTHENTICATION';
  readonly side = 'downstream';
}

/** The API server does not ask our webhook yet. */
export class WebhookNotAskedError extends MeshError {
  readonly code = 'WEBHOOK_NOT_ASKED';
  readonly side = 'internal';

  constructor(why: string) {
    super(
      `the API server does not ask for validation, which stays open until it does (can it reach port 443 of Service istiod, which is 15017 of this pod?): ${why}`,
    );
  }
}

/** Where an object of a waypoint belongs stands one of somebody else. */
export class NotOursError extends MeshError {
  readonly code = 'NOT_OURS';
  readonly side = 'internal';

  /** @param object - `Deployment shop/waypoint` */
  constructor(object: string) {
    super(`${object} is there already and was not made for this Gateway, so it is left alone`);
  }
}
