/** Every bound that this package sets itself; the unit is in the name. */

/** A node runs a few hundred pods; a list of rules or connections of one pod is far smaller than this. */
export const COMMAND_OUTPUT_MAX_BYTES = 16 * 1024 * 1024;
export const COMMAND_TIMEOUT_MS = 10_000;
/** A transaction that met another one, or whose program could not be started just then, is tried this often in all. */
export const RULES_ATTEMPTS = 4;
export const RULES_RETRY_MS = 50;
/** Interfaces that one annotation may name. */
export const VIRTUAL_INTERFACES_MAX = 16;

/** What a runtime may send the plugin: a network configuration with its previous result. */
export const PLUGIN_STDIN_MAX_BYTES = 4 * 1024 * 1024;
/** As Istio's plugin waits; the kubelet tries a sandbox again for minutes. */
export const AGENT_ANSWER_TIMEOUT_MS = 5_000;
/** How long a pod of the mesh waits for an agent that cannot enrol it now, if the configuration does not say. */
export const AGENT_WAIT_MS = 10_000;
export const AGENT_WAIT_MAX_MS = 60_000;
/** Its pauses between two questions double, from the first to the last. */
export const AGENT_RETRY_MS = 100;
export const AGENT_RETRY_MAX_MS = 800;
/** For what is told and needs no answer: a runtime that deletes a pod must not wait for us. */
export const AGENT_NOTICE_TIMEOUT_MS = 1_000;
export const AGENT_ANSWER_MAX_BYTES = 1024 * 1024;
/** 100,000 namespaces with names of 63 characters. */
export const NODE_FILE_MAX_BYTES = 8 * 1024 * 1024;
/** Addresses of one pod that a runtime may report. */
export const POD_ADDRESSES_MAX = 32;

/** A CNI configuration file on a node. */
export const CNI_CONFIG_MAX_BYTES = 1024 * 1024;
/** Changes to a node's CNI files that come this close together are looked at once. */
export const INSTALL_SETTLE_MS = 200;
/** However often others rewrite the configuration, ours is put back at most this often. */
export const INSTALL_INTERVAL_MS = 1_000;
/** Where the file system does not tell of changes. */
export const INSTALL_POLL_MS = 10_000;
/** So many times in a row that somebody undoes ours means that it is on purpose: say so. */
export const INSTALL_ROUNDS_WARNED = 5;
/** Asking what to leave on the node: all of it must be over before the agent is killed. */
export const STOP_DECISION_RETRIES = 2;
export const STOP_DECISION_RETRY_MS = 1_000;
export const STOP_DECISION_TIMEOUT_MS = 3_000;

/** Configurations of one node that a preflight tells of. */
export const PREFLIGHT_MAX_CONFIGS = 20;
/** Nodes that one node tries to reach. */
export const PREFLIGHT_MAX_PEERS = 32;
export const PREFLIGHT_REACH_TIMEOUT_MS = 3_000;
