/**
 * Writes WebSocket frames, valid or not (RFC 6455, section 5.2).
 *
 * @module
 */

export interface FrameOptions {
  readonly opcode?: number;
  readonly isFinal?: boolean;
  readonly reserved?: number;
  readonly isMasked?: boolean;
  /** The length in the header. Default: that of the payload. */
  readonly length?: number;
}

export const OPCODE = {
  continuation: 0,
  text: 1,
  binary: 2,
  close: 8,
  ping: 9,
  pong: 10,
} as const;

export function frame(
  payload: Uint8Array | string = "",
  {
    opcode = OPCODE.text,
    isFinal = true,
    reserved = 0,
    isMasked = true,
    length,
  }: FrameOptions = {},
): Uint8Array<ArrayBuffer> {
  const data = typeof payload === "string"
    ? new TextEncoder().encode(payload)
    : payload;
  const size = length ?? data.length;
  const long = size < 126 ? 0 : size < 65_536 ? 2 : 8;
  const header = new Uint8Array(2 + long + (isMasked ? 4 : 0));
  const view = new DataView(header.buffer);
  view.setUint8(0, (isFinal ? 128 : 0) | reserved << 4 | opcode);
  const short = long === 0 ? size : long === 2 ? 126 : 127;
  view.setUint8(1, (isMasked ? 128 : 0) | short);
  if (long === 2) view.setUint16(2, size);
  if (long === 8) view.setBigUint64(2, BigInt(size));
  // A mask of zeros leaves the payload as it is.
  const bytes = new Uint8Array(header.length + data.length);
  bytes.set(header);
  bytes.set(data, header.length);
  return bytes;
}

export function closeFrame(code: number, reason = ""): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(reason);
  const payload = new Uint8Array(2 + text.length);
  new DataView(payload.buffer).setUint16(0, code);
  payload.set(text, 2);
  return frame(payload, { opcode: OPCODE.close });
}
