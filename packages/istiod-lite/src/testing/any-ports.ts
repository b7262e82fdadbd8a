/** Variables of a control plane in a process of tests: on loopback, wherever a port is free, and gone as soon as it is told to. */
export const ANY_PORTS = {
  AMBIT_BIND_ADDRESS: '127.0.0.1',
  AMBIT_SECURE_GRPC_PORT: '0',
  AMBIT_GRPC_PORT: '0',
  AMBIT_WEBHOOK_PORT: '0',
  AMBIT_HTTP_PORT: '0',
  AMBIT_MONITORING_PORT: '0',
  AMBIT_DRAIN_NOTICE: '0',
  AMBIT_DRAIN_SPREAD: '0',
} as const;
