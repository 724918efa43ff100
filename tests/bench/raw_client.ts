/**
 * A WebSocket client that costs a load generator little: plain TCP, frames read in place, and a
 * byte for each user that it was told of.
 *
 * @module
 */
import type { UserId } from "../../src/protocol/user_id.ts";

/** How a contender is spoken to. */
export type Dialect = "v1" | "v2" | "socket.io";

export interface Told {
  readonly userId: UserId;
  readonly isOnline: boolean;
}

const OPCODE = { text: 1, close: 8, ping: 9, pong: 10 };
const NOTHING: Uint8Array<ArrayBuffer> = new Uint8Array();
const READ_BYTES = 16_384;

/** What the text messages of a server say, each text read once. */
export class Reader {
  readonly #dialect: Dialect;
  readonly #known = new Map<string, readonly Told[]>();
  readonly #decoder = new TextDecoder();

  constructor(dialect: Dialect) {
    this.#dialect = dialect;
  }

  /** The transitions in a message; for a state, everybody who is online. */
  *read(bytes: Uint8Array, start: number, end: number): Generator<Told> {
    if (this.#dialect === "v2") {
      yield* this.#merged(this.#decoder.decode(bytes.subarray(start, end)));
      return;
    }
    // {"type":"user_online","userId":7}  42["user_online",{"userId":7}]
    const [word, tail] = this.#dialect === "v1" ? [15, 1] : [10, 2];
    if (end - start < 30) return;
    let userId = 0;
    let unit = 1;
    for (let at = end - tail - 1; bytes[at] !== 58; at--) {
      userId += ((bytes[at] ?? 48) - 48) * unit;
      unit *= 10;
    }
    yield { userId, isOnline: bytes[start + word] === 110 };
  }

  #merged(text: string): readonly Told[] {
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    const { users = [], online = [], offline = [] } = JSON.parse(text);
    const told: Told[] = [];
    for (const { id } of [...users, ...online]) {
      told.push({ userId: id, isOnline: true });
    }
    for (const userId of offline) told.push({ userId, isOnline: false });
    if (this.#known.size > 100) this.#known.clear();
    this.#known.set(text, told);
    return told;
  }
}

export class RawClient {
  /** When the server's 101 was here, by `performance.now()`. */
  openedAt = 0;
  readonly #conn: Deno.TcpConn;
  readonly #reader: Reader;
  readonly #onTold: (told: Told) => void;
  readonly #onMessage: () => void;
  /** Resolves when the connection is over, whoever ended it. */
  readonly ended: Promise<void>;
  /** What came of a frame that is not whole yet: so many bytes, and so many are needed. */
  #rest: Uint8Array = NOTHING;
  #filled = 0;
  #needed = 0;

  private constructor(
    conn: Deno.TcpConn,
    reader: Reader,
    onTold: (told: Told) => void,
    onMessage: () => void,
    rest: Uint8Array,
  ) {
    this.#conn = conn;
    this.#reader = reader;
    this.#onTold = onTold;
    this.#onMessage = onMessage;
    this.openedAt = performance.now();
    this.ended = this.#readAll(rest);
  }

  /** @throws when the server does not answer with 101. */
  static async connect(
    server: URL,
    dialect: Dialect,
    token: string,
    reader: Reader,
    onTold: (told: Told) => void,
    onMessage: () => void,
  ): Promise<RawClient> {
    const { hostname, port } = server;
    const conn = await Deno.connect({ hostname, port: Number(port) });
    conn.setNoDelay(true);
    const path = dialect === "socket.io"
      ? `/socket.io/?EIO=4&transport=websocket&token=${token}`
      : `/ws?token=${token}`;
    const protocol = dialect === "v2"
      ? "Sec-WebSocket-Protocol: rollcall.v2\r\n"
      : "";
    await conn.write(new TextEncoder().encode(
      `GET ${path} HTTP/1.1\r\nHost: ${server.host}\r\nConnection: Upgrade\r\n` +
        `Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n${protocol}` +
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    ));
    const rest = await readHead(conn);
    const client = new RawClient(conn, reader, onTold, onMessage, rest);
    if (dialect === "socket.io") await client.#send("40");
    return client;
  }

  /** Sends a close frame and waits until the server has ended the connection. */
  async close(): Promise<void> {
    try {
      await this.#conn.write(
        clientFrame(OPCODE.close, new Uint8Array([3, 232])),
      );
    } catch {
      // The server was faster.
    }
    await this.ended;
  }

  async #send(text: string): Promise<void> {
    await this.#conn.write(
      clientFrame(OPCODE.text, new TextEncoder().encode(text)),
    );
  }

  async #readAll(first: Uint8Array): Promise<void> {
    const buffer = new Uint8Array(READ_BYTES);
    try {
      this.#take(first);
      while (true) {
        const size = await this.#conn.read(buffer);
        if (size === null) break;
        if (!this.#take(buffer.subarray(0, size))) break;
      }
    } catch {
      // A reset is an end too.
    }
    this.#conn.close();
  }

  /** `false` after a close frame. */
  #take(chunk: Uint8Array): boolean {
    if (this.#filled === 0) return this.#readFrames(chunk);
    this.#append(chunk);
    if (this.#filled < this.#needed) return true;
    return this.#readFrames(this.#rest.subarray(0, this.#filled));
  }

  #readFrames(bytes: Uint8Array): boolean {
    let at = 0;
    this.#needed = 0;
    while (bytes.length - at >= 2) {
      const short = (bytes[at + 1] ?? 0) & 127;
      const head = short === 126 ? 4 : short === 127 ? 10 : 2;
      if (bytes.length - at < head) break;
      let size = short;
      if (short === 126) {
        size = (bytes[at + 2] ?? 0) << 8 | (bytes[at + 3] ?? 0);
      } else if (short === 127) {
        size = new DataView(bytes.buffer, bytes.byteOffset + at + 6, 4)
          .getUint32(0);
      }
      const end = at + head + size;
      if (bytes.length < end) {
        this.#needed = head + size;
        break;
      }
      const opcode = (bytes[at] ?? 0) & 15;
      if (opcode === OPCODE.close) return false;
      if (opcode === OPCODE.text) this.#hear(bytes, at + head, end);
      else if (opcode === OPCODE.ping) {
        void this.#conn.write(clientFrame(OPCODE.pong, NOTHING))
          .catch(() => {});
      }
      at = end;
    }
    const rest = bytes.subarray(at);
    this.#filled = 0;
    if (rest.length > 0) this.#append(rest);
    else if (this.#rest.length > READ_BYTES) this.#rest = NOTHING;
    return true;
  }

  #append(bytes: Uint8Array): void {
    const length = this.#filled + bytes.length;
    if (this.#rest.length < length) {
      const larger = new Uint8Array(Math.max(2 * length, this.#needed));
      larger.set(this.#rest.subarray(0, this.#filled));
      this.#rest = larger;
    }
    this.#rest.set(bytes, this.#filled);
    this.#filled = length;
  }

  #hear(bytes: Uint8Array, start: number, end: number): void {
    // Engine.IO: 2 is a ping, 3 its answer; 0 and 40 are greetings.
    if (bytes[start] === 50 && end - start === 1) {
      void this.#send("3").catch(() => {});
      return;
    }
    this.#onMessage();
    for (const told of this.#reader.read(bytes, start, end)) this.#onTold(told);
  }
}

async function readHead(conn: Deno.TcpConn): Promise<Uint8Array> {
  let received = new Uint8Array();
  const buffer = new Uint8Array(4_096);
  while (true) {
    const size = await conn.read(buffer);
    if (size === null) throw new Error("the server closed the connection");
    received = new Uint8Array([...received, ...buffer.subarray(0, size)]);
    const text = new TextDecoder("latin1").decode(received);
    const end = text.indexOf("\r\n\r\n");
    if (end < 0) continue;
    if (!text.startsWith("HTTP/1.1 101")) {
      conn.close();
      throw new Error(`the server answered ${text.split("\r\n")[0]}`);
    }
    return received.slice(end + 4);
  }
}

/** Masked with zeros, as a client must mask and need not hide anything. */
function clientFrame(opcode: number, payload: Uint8Array): Uint8Array {
  return new Uint8Array([
    128 | opcode,
    128 | payload.length,
    ...[0, 0, 0, 0],
    ...payload,
  ]);
}
