/**
 * Frames of the `ws` engine: a text is encoded once for all sockets that send it.
 *
 * Sockets that are sent the same text get the same bytes. The frames of recent texts are kept up to
 * a bound, so a text that is sent again after many others is encoded again. A text that is longer
 * than the bound is kept alone, until the next one.
 *
 * @module
 */
import { FRAMES_KEPT_BYTES_MAX } from "./limits.ts";

/** A ping without data. */
export const PING: Uint8Array = Uint8Array.of(0x89, 0);

const TEXT = 0x81;

export class TextFrames {
  readonly #kept = new Map<string, Uint8Array>();
  #keptBytes = 0;
  #encoded = 0;

  /** Texts encoded so far. */
  get encoded(): number {
    return this.#encoded;
  }

  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** The frame of a text. It is shared, so nobody may write to it. */
  of(text: string): Uint8Array {
    const known = this.#kept.get(text);
    if (known !== undefined) return known;
    const frame = encode(text);
    this.#encoded += 1;
    if (this.#keptBytes + frame.byteLength > FRAMES_KEPT_BYTES_MAX) {
      this.#kept.clear();
      this.#keptBytes = 0;
    }
    this.#kept.set(text, frame);
    this.#keptBytes += frame.byteLength;
    return frame;
  }
}

/** An unmasked text frame in one piece: RFC 6455, section 5.2. */
function encode(text: string): Uint8Array {
  const payload = Buffer.byteLength(text);
  const start = payload < 126 ? 2 : payload < 65_536 ? 4 : 10;
  const frame = Buffer.allocUnsafeSlow(start + payload);
  frame[0] = TEXT;
  if (start === 2) frame[1] = payload;
  else if (start === 4) {
    frame[1] = 126;
    frame.writeUInt16BE(payload, 2);
  } else {
    frame[1] = 127;
    frame.writeBigUInt64BE(BigInt(payload), 2);
  }
  frame.write(text, start);
  return frame;
}
