/** How requests of one service are traced, as the Telemetry resources that apply to it come out merged. */

/** Where spans go. One object for each provider of a snapshot, so that those who export are found by identity. */
export interface SpanCollector {
  readonly kind: 'opentelemetry' | 'zipkin';
  /** The provider's name in the mesh's settings. */
  readonly provider: string;
  /** `hostname` or `namespace/hostname`. */
  readonly service: string;
  readonly port: number;
  /** Empty: OTLP over gRPC. */
  readonly path: string;
  readonly timeoutMs: number;
  /** Name, value, name, value. */
  readonly headers: readonly string[];
}

export interface TracingPlan {
  readonly collector: SpanCollector;
  /** 0 to 1: of requests that come without a decision. */
  readonly sampling: number;
  readonly customTags: readonly CustomTag[];
  /** A request id that says so decides as well. */
  readonly useRequestId: boolean;
  /** Of a tag's value, in characters. */
  readonly maxTagLength: number;
}

/** What a user adds to each span. */
export type CustomTag =
  | { readonly kind: 'literal'; readonly name: string; readonly value: string }
  | {
      readonly kind: 'header';
      readonly name: string;
      /** In lower case. */
      readonly header: string;
      /** Empty: no tag. */
      readonly otherwise: string;
    };
