/** The variables of tunnels: how many streams share one, how long an unused one is kept, and HTTP/2's windows. */
import { durationMs, integer } from '@ambit/core/config/schema';
import { CONNECTION_WINDOW_BYTES, MAX_FRAME_BYTES, STREAM_WINDOW_BYTES } from '@ambit/http/limits';
import { POOL_STREAMS_PER_CONNECTION, POOL_UNUSED_RELEASE_MS } from './limits.ts';

const U16 = 65_535;
const I32 = 2_147_483_647;

export const tunnelVariables = {
  poolMaxStreams: integer({
    env: 'POOL_MAX_STREAMS_PER_CONNECTION',
    default: POOL_STREAMS_PER_CONNECTION,
    min: 1,
    max: U16,
    doc: 'Connections in one tunnel before another is opened.',
  }),
  poolUnusedReleaseMs: durationMs({
    env: 'POOL_UNUSED_RELEASE_TIMEOUT',
    default: POOL_UNUSED_RELEASE_MS,
    doc: 'How long an unused tunnel is kept.',
  }),
  streamWindowBytes: integer({
    env: 'HTTP2_STREAM_WINDOW_SIZE',
    default: STREAM_WINDOW_BYTES,
    min: 1,
    max: I32,
    doc: 'Bytes of one connection that may wait in a tunnel.',
  }),
  connectionWindowBytes: integer({
    env: 'HTTP2_CONNECTION_WINDOW_SIZE',
    default: CONNECTION_WINDOW_BYTES,
    min: 1,
    max: I32,
    doc: 'The same for all connections of a tunnel together.',
  }),
  frameBytes: integer({
    env: 'HTTP2_FRAME_SIZE',
    default: MAX_FRAME_BYTES,
    min: 16_384,
    max: 16_777_215,
    doc: 'Largest HTTP/2 frame that is accepted.',
  }),
};
