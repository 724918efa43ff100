/**
 * A kept connection is one connection after another: when one ends or does not answer, the next is
 * made, after a pause that grows with each failure.
 *
 * A half-open connection reports no error. So a heartbeat asks something over it, and a heartbeat
 * that fails means that the connection is dead. What is asked, and what a connection is for, is
 * not known here.
 *
 * @module
 */
import { type Clock, retryMs } from "./clock.ts";
import { messageOf } from "./message_of.ts";

export interface KeptConnectionDeps<Connection extends Endable> {
  readonly connect: () => Promise<Connection>;
  /** Asks something over the connection. Rejects when it does not answer in time. */
  readonly heartbeat: (connection: Connection) => Promise<void>;
  readonly heartbeatMs: number;
  readonly clock: Clock;
  /** The connection ended, or another try to reconnect failed. */
  readonly onDown: (reason: string) => void;
  /** There is a new connection, after the first one. */
  readonly onReconnected: () => void;
}

export interface Endable {
  /** Resolves when the connection has ended, for any reason. */
  readonly ended: Promise<void>;
  close(): Promise<void>;
}

export class KeptConnection<Connection extends Endable> {
  readonly #deps: KeptConnectionDeps<Connection>;
  readonly #random: () => number;
  readonly #stop = new AbortController();
  #connection: Connection | undefined;
  #running: Promise<void> | undefined;
  #isUp = false;
  /** Connections in a row that failed, or ended before they lasted one heartbeat. */
  #failures = 0;

  constructor(
    deps: KeptConnectionDeps<Connection>,
    random: () => number = Math.random,
  ) {
    this.#deps = deps;
    this.#random = random;
  }

  /** Whether there is a connection that has not failed a heartbeat. */
  get isUp(): boolean {
    return this.#isUp;
  }

  /** Makes the first connection. Rejects as `connect` does. */
  async connect(): Promise<void> {
    this.#connection = await this.#deps.connect();
  }

  /** Starts the heartbeat of the first connection, and reconnects from now on. */
  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#connection?.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, onDown } = this.#deps;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const reason = await this.#use().catch(messageOf);
      if (signal.aborted) break;
      this.#isUp = false;
      onDown(String(reason));
      await this.#connection?.close();
      this.#connection = undefined;
      await clock.sleep(retryMs(this.#failures, this.#random), signal);
      this.#failures += 1;
    }
    this.#isUp = false;
    await this.#connection?.close();
  }

  /** Connects if there is no connection, and resolves with the reason when it has ended. */
  async #use(): Promise<string> {
    if (this.#connection === undefined) {
      this.#connection = await this.#deps.connect();
      this.#deps.onReconnected();
    }
    if (this.#stop.signal.aborted) return "stopped";
    this.#isUp = true;
    await this.#sendHeartbeats(this.#connection);
    return "the connection ended";
  }

  /** Resolves when the connection has ended. Rejects when it does not answer in time. */
  async #sendHeartbeats(connection: Connection): Promise<void> {
    const { clock, heartbeatMs, heartbeat } = this.#deps;
    const ended = new AbortController();
    void connection.ended.then(() => ended.abort());
    while (!ended.signal.aborted) {
      await heartbeat(connection);
      await clock.sleep(heartbeatMs, ended.signal);
      if (!ended.signal.aborted) this.#failures = 0;
    }
  }
}
