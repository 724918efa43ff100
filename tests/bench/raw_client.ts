/**
 * A WebSocket client that costs the load generator little: plain TCP, and frames read in place.
 *
 * @module
 */

/** The protocol of a server. */
export type Dialect = "v1" | "v2" | "socket.io";

export interface Transition {
  readonly userId: number;
  readonly isOnline: boolean;
}

const OPCODE = { text: 1, close: 8, ping: 9, pong: 10 };
const NOTHING: Uint8Array<ArrayBuffer> = new Uint8Array();
const READ_BYTES = 16_384;

/** Reads the text messages of a server. A text that comes again is not parsed again. */
export class Reader {
  readonly #dialect: Dialect;
  readonly #known = new Map<string, readonly Transition[]>();
  readonly #decoder = new TextDecoder();

  constructor(dialect: Dialect) {
    this.#dialect = dialect;
  }

  /** The transitions in a message. A state counts as one transition to online for each of its users. */
  *read(bytes: Uint8Array, start: number, end: number): Generator<Transition> {
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

  #merged(text: string): readonly Transition[] {
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    const { users = [], online = [], offline = [] } = JSON.parse(text);
    const transitions: Transition[] = [];
    for (const { id } of [...users, ...online]) {
      transitions.push({ userId: id, isOnline: true });
    }
    for (const userId of offline) {
      transitions.push({ userId, isOnline: false });
    }
    if (this.#known.size > 100) this.#known.clear();
    this.#known.set(text, transitions);
    return transitions;
  }
}

export class RawClient {
  /** When the server's 101 arrived, by `performance.now()`. */
  openedAt = 0;
  readonly #conn: Deno.TcpConn;
  readonly #reader: Reader;
  readonly #onTransition: (transition: Transition) => void;
  readonly #onMessage: (bytes: number) => void;
  /** Resolves when the connection has ended, by the client, the server or the network. */
  readonly ended: Promise<void>;
  /** The first `#filled` bytes of a frame that is not complete yet. It has `#needed` bytes. */
  #rest: Uint8Array = NOTHING;
  #filled = 0;
  #needed = 0;

  private constructor(
    conn: Deno.TcpConn,
    reader: Reader,
    onTransition: (transition: Transition) => void,
    onMessage: (bytes: number) => void,
    rest: Uint8Array,
  ) {
    this.#conn = conn;
    this.#reader = reader;
    this.#onTransition = onTransition;
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
    onTransition: (transition: Transition) => void,
    onMessage: (bytes: number) => void,
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
    const client = new RawClient(conn, reader, onTransition, onMessage, rest);
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
      // The server has ended the connection already.
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

  /** Returns `false` after a close frame. */
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
      if (opcode === OPCODE.text) this.#readText(bytes, at + head, end);
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

  #readText(bytes: Uint8Array, start: number, end: number): void {
    // Engine.IO: 2 is a ping, 3 its answer; 0 and 40 open the connection.
    if (bytes[start] === 50 && end - start === 1) {
      void this.#send("3").catch(() => {});
      return;
    }
    this.#onMessage(end - start);
    for (const transition of this.#reader.read(bytes, start, end)) {
      this.#onTransition(transition);
    }
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

/** A client must mask its frames. The mask is zeros: nothing has to be hidden. */
function clientFrame(opcode: number, payload: Uint8Array): Uint8Array {
  return new Uint8Array([
    128 | opcode,
    128 | payload.length,
    ...[0, 0, 0, 0],
    ...payload,
  ]);
}
