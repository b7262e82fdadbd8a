/** `Telemetry` of telemetry.istio.io: what waypoints report of requests. */
import { oneAttachment, selector, targetRef, targetRefs } from './common.ts';
import {
  flag,
  list,
  map,
  NO_EFFECT,
  number,
  object,
  oneOf,
  type StructuralSchema,
  text,
  withRules,
} from './openapi.ts';

const providers = list(
  object({ name: text('As the mesh’s settings call it.', { minLength: 1 }) }, { required: ['name'] }),
  'Default: those that the mesh’s settings name.',
);
const mode = oneOf(['CLIENT_AND_SERVER', 'CLIENT', 'SERVER'], 'A waypoint reports as a server.');
const match = object({ mode });

export const METRICS = [
  'ALL_METRICS',
  'REQUEST_COUNT',
  'REQUEST_DURATION',
  'REQUEST_SIZE',
  'RESPONSE_SIZE',
  'TCP_OPENED_CONNECTIONS',
  'TCP_CLOSED_CONNECTIONS',
  'TCP_SENT_BYTES',
  'TCP_RECEIVED_BYTES',
  'GRPC_REQUEST_MESSAGES',
  'GRPC_RESPONSE_MESSAGES',
] as const;

const named = (description: string): StructuralSchema =>
  object(
    { name: text(undefined, { minLength: 1 }), defaultValue: text('Where there is none.') },
    { description, required: ['name'] },
  );
const valued = (description: string): StructuralSchema =>
  object({ value: text(undefined, { minLength: 1 }) }, { description, required: ['value'] });

export const telemetrySpec = withRules(
  object({
    selector,
    targetRef,
    targetRefs,
    tracing: list(
      object({
        match,
        providers,
        randomSamplingPercentage: number('Of requests that begin a trace.', { minimum: 0, maximum: 100 }),
        disableSpanReporting: flag('Whether nothing is reported.'),
        customTags: map(
          object(
            {
              literal: valued('The same for all.'),
              environment: named('A variable of the waypoint.'),
              header: named('A header of the request.'),
              formatter: valued('Is not supported.'),
            },
            { maxProperties: 1 },
          ),
          'By name, what spans have as well.',
        ),
        useRequestIdForTraceSampling: flag('Whether x-request-id decides. Default true.'),
        enableIstioTags: flag('Whether spans have the tags istio.… Default true.'),
        disableContextPropagation: flag('Whether requests are told of no trace.'),
      }),
      'Spans.',
    ),
    metrics: list(
      object({
        providers,
        overrides: list(
          object({
            match: object({
              metric: oneOf(METRICS, 'Which metric. Default: all.'),
              customMetric: text('By its own name.', { minLength: 1 }),
              mode,
            }),
            disabled: flag('Whether it is not reported.'),
            tagOverrides: map(
              object({
                operation: oneOf(['UPSERT', 'REMOVE'], 'Default UPSERT.'),
                value: text('CEL, as in Istio.'),
              }),
              'By name of the label.',
            ),
          }),
          'Changes of metrics.',
        ),
        reportingInterval: text(NO_EFFECT),
      }),
      'Metrics.',
    ),
    accessLogging: list(
      object({
        match,
        providers,
        disabled: flag('Whether nothing is logged.'),
        filter: object({ expression: text('CEL: which requests are logged.') }),
      }),
      'Access logs.',
    ),
  }),
  oneAttachment,
);
