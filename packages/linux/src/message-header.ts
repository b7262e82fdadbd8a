/** `struct msghdr` with one buffer and room for one descriptor: what `sendmsg` and `recvmsg` take. */
import { addressOf, memory } from './libc.ts';

const HEADER_BYTES = 56;
const VECTOR_BYTES = 16;
/** `CMSG_LEN(sizeof(int))`: with this length the kernel hands over one descriptor and drops any other. */
const CONTROL_BYTES = 20;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;

const MSG_CTRUNC = 0x8;
const MSG_TRUNC = 0x20;

export interface MessageHeader {
  readonly header: Uint8Array;
  readonly bytes: Uint8Array;
  /** Before `sendmsg`: how much of `bytes` goes out, and with which descriptor. */
  prepareSend(size: number, fd: number | undefined): void;
  prepareReceive(): void;
  /** After `recvmsg`. `fd` is ours to close, also when the message was cut. */
  received(): { readonly fd: number | undefined; readonly cut: boolean; readonly fdsCut: boolean };
}

export function messageHeader(maxBytes: number): MessageHeader {
  const { bytes } = memory(maxBytes);
  const { bytes: control, view: controlView } = memory(24);
  const { bytes: vector, view: vectorView } = memory(VECTOR_BYTES);
  const { bytes: header, view } = memory(HEADER_BYTES);
  const controlAddress = addressOf(control);
  vectorView.setBigUint64(0, addressOf(bytes), true);
  view.setBigUint64(16, addressOf(vector), true);
  view.setBigUint64(24, 1n, true);

  const setControl = (size: number) => {
    view.setBigUint64(32, size === 0 ? 0n : controlAddress, true);
    view.setBigUint64(40, BigInt(size), true);
    view.setInt32(48, 0, true);
  };
  return {
    header,
    bytes,
    prepareSend(size, fd) {
      vectorView.setBigUint64(8, BigInt(size), true);
      setControl(fd === undefined ? 0 : CONTROL_BYTES);
      controlView.setBigUint64(0, BigInt(CONTROL_BYTES), true);
      controlView.setInt32(8, SOL_SOCKET, true);
      controlView.setInt32(12, SCM_RIGHTS, true);
      controlView.setInt32(16, fd ?? -1, true);
    },
    prepareReceive() {
      vectorView.setBigUint64(8, BigInt(maxBytes), true);
      setControl(CONTROL_BYTES);
    },
    received() {
      const flags = view.getInt32(48, true);
      const has =
        view.getBigUint64(40, true) >= BigInt(CONTROL_BYTES) &&
        controlView.getInt32(8, true) === SOL_SOCKET &&
        controlView.getInt32(12, true) === SCM_RIGHTS;
      return {
        fd: has ? controlView.getInt32(16, true) : undefined,
        cut: (flags & MSG_TRUNC) !== 0,
        fdsCut: (flags & MSG_CTRUNC) !== 0,
      };
    },
  };
}
