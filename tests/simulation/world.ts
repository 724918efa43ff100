/**
 * The world of one run: nodes over one database, their clients, and the application.
 *
 * It performs the steps of a run. What must hold is in `checks.ts`.
 *
 * @module
 */
import type { Clock } from "../../src/base/clock.ts";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import { silentLog } from "../support/database.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { MemoryDatabase } from "../support/memory_database.ts";
import { NO_ENGINE_FAULTS } from "../support/memory_engine.ts";
import { MembershipsTable } from "../support/memory_groups.ts";
import { type Faults, NO_FAULTS } from "../support/memory_pool.ts";
import { randomFrom } from "../support/random.ts";
import { SimApplication } from "../support/sim_application.ts";
import type { SimClient, SimSubscription } from "../support/sim_client.ts";
import { SimMemberships } from "../support/sim_memberships.ts";
import {
  HEARTBEAT_MS,
  LEASE_MS,
  SIM_NODE_OPTIONS,
  SimNode,
  type SimNodeOptions,
} from "../support/sim_node.ts";
import {
  GROUPS,
  GROUPS_MAX,
  type GroupStep,
  performOfGroups,
} from "./group_steps.ts";
import { Judges } from "./judges.ts";
import type {
  ApplicationStep,
  DatabaseStep,
  NodeStep,
  Step,
  UserStep,
} from "./steps.ts";
import { USERS } from "./steps.ts";

export interface WorldOptions extends SimNodeOptions {
  readonly nodeCount: number;
  /** Whether the application has groups. */
  readonly hasGroups: boolean;
}

export const WORLD_OPTIONS: WorldOptions = {
  ...{ ...SIM_NODE_OPTIONS, nodeCount: 1, hasGroups: false },
};

/** A client with an open connection, and the node that it is connected to. */
export interface Entry {
  readonly client: SimClient;
  readonly node: SimNode;
}

/** Time between two outages, in which every node recovers from the first. */
const RECOVERY_MS = 15_000;

/** The seq of a new database, as in a real one far from 0. */
const FIRST_SEQ = 2 ** 40;

export class World {
  readonly clock = new FakeClock();
  readonly options: WorldOptions;
  readonly random: () => number;
  readonly database: MemoryDatabase;
  readonly application: SimApplication;
  /** With groups. */
  readonly memberships: SimMemberships | undefined;
  /** With groups. Without them a client compares its messages with who is online. */
  readonly judges: Judges | undefined;
  /** One node at each place. A process that ends is replaced. */
  readonly nodes: SimNode[] = [];
  /** Nodes that can accept clients. */
  readonly #started = new Set<SimNode>();
  entries: Entry[] = [];
  /** What went wrong during the run. */
  readonly violations: string[] = [];
  #boots = 0;
  /** The number of the newest start at each place. */
  readonly #newestBoots: number[] = [];
  #refs = 0;
  #nextOutageAt = 0;
  #nextLeaveAt = 0;
  /** What is wrong between the database and every node, also one that starts now. */
  #outage: Partial<Faults> = {};
  #failOver: () => void;

  constructor(options: WorldOptions, seed: number) {
    this.options = options;
    this.random = randomFrom(seed);
    const memberships = options.hasGroups
      ? new MembershipsTable(GROUPS_MAX)
      : undefined;
    this.database = new MemoryDatabase(USERS, this.clock, {
      ...{ random: this.random, firstSeq: FIRST_SEQ, memberships },
    });
    this.application = new SimApplication(this.database, this.clock);
    if (memberships !== undefined) {
      const { database, clock } = this;
      this.memberships = new SimMemberships(database, memberships, clock);
      this.judges = new Judges(database, options);
    }
    this.#failOver = this.database.replicate();
  }

  async start(): Promise<void> {
    const { random } = this;
    const changes = USERS.map((userId) => ({
      ...{ userId, how: "set" as const },
      groups: GROUPS.filter(() => random() < 0.25),
    }));
    this.memberships?.change(changes, "silent");
    for (let place = 0; place < this.options.nodeCount; place++) {
      await this.boot(place);
      // So that their heartbeats are not at the same times.
      await this.clock.advance(this.random() * HEARTBEAT_MS);
    }
    this.#failOver = this.database.replicate();
  }

  /** Starts a process at a place. Like a supervisor, it starts another one if that fails. */
  async boot(place: number): Promise<void> {
    const { database, clock, random, options, judges } = this;
    const boot = this.#newestBoots[place] = this.#boots += 1;
    const node = new SimNode(
      `${place}.${boot}.`,
      { database, clock, random, log: silentLog, judges },
      // The clock of each further machine is a minute ahead: only the database's clock may matter.
      skewed(clock, place * 60_000),
      options,
    );
    this.nodes[place] = node;
    Object.assign(node.pool.faults, this.#outage);
    try {
      await node.start();
      this.#started.add(node);
    } catch {
      node.crash();
      clock.after(1_000, () => {
        if (this.#newestBoots[place] === boot) void this.boot(place);
      });
    }
  }

  async perform(step: Step): Promise<void> {
    this.#forget();
    await this.#performOfUser(step as UserStep);
    await this.#performOfNode(step as NodeStep);
    this.#performOfDatabase(step as DatabaseStep);
    this.#performOfApplication(step as ApplicationStep);
    await performOfGroups(this, step as GroupStep);
    await this.clock.advance(0);
  }

  /** Ends every fault, and the application gives everything back. Resolves when it has. */
  async heal(): Promise<void> {
    const { database: { engine }, application, nodes } = this;
    engine.thaw();
    Object.assign(engine.faults, NO_ENGINE_FAULTS);
    for (const { pool } of nodes) Object.assign(pool.faults, NO_FAULTS);
    this.#forget();
    let hasStopped = false;
    const stopping = [application.stop(), this.memberships?.stop()];
    void Promise.all(stopping).then(() => hasStopped = true);
    // Some of its statements hold their locks for a while, one after the other.
    while (!hasStopped) await this.clock.advance(1_000);
  }

  /** For how long a lease lasts beyond its time, because the database's clock was set back. */
  get extraLeaseMs(): number {
    const { database: { nodes, engine } } = this;
    const ends = [...nodes.rows.values()].map(({ expiresAt }) => expiresAt);
    return Math.max(0, Math.max(...ends) - engine.now() - LEASE_MS);
  }

  isStarted(node: SimNode): boolean {
    return this.#started.has(node);
  }

  /** Forgets the clients of nodes that ended. */
  #forget(): void {
    this.entries = this.entries.filter(({ node }) => node.isRunning);
  }

  /** The node at a place, modulo the number of nodes. */
  at(index: number): SimNode {
    return this.nodes[index % this.nodes.length] as SimNode;
  }

  /** An open connection, modulo their number. */
  pick(pick: number): Entry | undefined {
    return this.entries[pick % Math.max(1, this.entries.length)];
  }

  /** Opens a connection, as soon as the node accepts it. */
  enter(node: SimNode, userId: UserId, subscription: SimSubscription): void {
    if (!this.isStarted(node) || !node.isRunning) return;
    if (!node.mustWait(subscription)) {
      const client = node.open(userId, subscription);
      this.entries.push({ client, node });
      return;
    }
    void node.enter(userId, subscription).then((client) => {
      if (client !== undefined) this.entries.push({ client, node });
    });
  }

  close({ client, node }: Entry): void {
    node.close(client);
    this.entries = this.entries.filter((entry) => entry.client !== client);
  }

  async #performOfUser(step: UserStep): Promise<void> {
    const { clock } = this;
    switch (step.do) {
      case "open": {
        const { userId, version, tokenMs } = step;
        const node = this.at(step.node);
        const watch = version === 2 && step.watch !== undefined
          ? new Set(step.watch)
          : "*";
        const endsAt = node.now() + tokenMs;
        this.enter(node, userId, { version, watch, endsAt });
        break;
      }
      case "resume": {
        const entry = this.pick(step.pick);
        if (entry === undefined) break;
        this.close(entry);
        await clock.advance(step.ms);
        const { userId, users, seq, scope, version, count } = entry.client;
        if (version === 1) break;
        const known = seq < 0 || count !== undefined
          ? {}
          : { known: { seq, users } };
        this.enter(this.at(step.node), userId, {
          ...{ version, watch: scope, ...known },
        });
        break;
      }
      case "close": {
        const entry = this.pick(step.pick);
        if (entry !== undefined) this.close(entry);
        break;
      }
      case "watch": {
        const entry = this.pick(step.pick);
        if (entry?.client.version !== 2) break;
        const { client, node } = entry;
        const ref = ++this.#refs;
        client.request(
          step.watch === undefined ? "*" : new Set(step.watch),
          ref,
        );
        node.receive(client, {
          type: "watch",
          userIds: step.watch ?? "*",
          ref,
        });
        break;
      }
      case "refresh": {
        const entry = this.pick(step.pick);
        if (entry?.client.version !== 2) break;
        for (const ms of step.verifyMs) entry.node.refresh(entry.client, ms);
        break;
      }
      case "break socket": {
        const entry = this.pick(step.pick);
        if (entry !== undefined) entry.client.isBroken = true;
        break;
      }
      case "wait":
        await clock.advance(step.ms);
    }
  }

  async #performOfNode(step: NodeStep): Promise<void> {
    switch (step.do) {
      case "faults":
        Object.assign(this.at(step.node).pool.faults, step.faults);
        break;
      case "link broken":
        this.at(step.node).pool.breakLinks();
        break;
      case "link silent":
        this.at(step.node).pool.silenceLinks();
        break;
      case "connections silent":
        if (!this.#beginOutage(0)) break;
        this.at(step.node).pool.silence(step.count);
        // Until it has other connections, a node that leaves takes it for dead.
        this.#nextLeaveAt = this.clock.now() + RECOVERY_MS;
        break;
      case "down":
        this.at(step.node).pool.faults.down = true;
        this.at(step.node).pool.breakLinks();
        break;
      case "healed":
        Object.assign(this.at(step.node).pool.faults, NO_FAULTS);
        break;
      case "crash": {
        const place = step.node % this.nodes.length;
        this.at(place).crash();
        await this.#replace(place);
        break;
      }
      case "leave": {
        if (this.clock.now() < this.#nextLeaveAt) break;
        const place = step.node % this.nodes.length;
        void this.at(place).stop(step.handoverMs);
        this.#newestBoots[place] = 0;
        await this.clock.advance(step.ms);
        await this.#replace(place);
      }
    }
  }

  async #replace(place: number): Promise<void> {
    void this.boot(place);
    await this.clock.advance(0);
  }

  #performOfDatabase(step: DatabaseStep): void {
    const { clock, database: { engine }, nodes } = this;
    switch (step.do) {
      case "freeze":
        if (!this.#beginOutage(step.ms)) break;
        engine.freeze();
        clock.after(step.ms, () => engine.thaw());
        break;
      case "outage": {
        if (!this.#beginOutage(step.ms)) break;
        this.#outage = step.cut ? { cut: true } : { down: true };
        for (const { pool } of nodes) {
          Object.assign(pool.faults, this.#outage);
          pool.breakLinks();
        }
        clock.after(step.ms, () => {
          this.#outage = {};
          for (const { pool } of nodes) {
            Object.assign(pool.faults, { cut: false, down: false });
          }
        });
        break;
      }
      case "restart":
        engine.restart();
        for (const { pool } of nodes) pool.breakLinks();
        break;
      case "set clock":
        // Forward, it takes as much from every lease.
        if (step.byMs > 0 && !this.#beginOutage(0)) break;
        engine.setClock(step.byMs);
        break;
      case "engine":
        Object.assign(engine.faults, step.faults);
        break;
      case "replicate":
        this.#failOver = this.database.replicate();
        break;
      case "fail over": {
        const before = [...this.database.users.rows.keys()];
        this.judges?.read();
        this.#failOver();
        this.judges?.read();
        this.application.lost(before);
        this.memberships?.lost();
        for (const { pool } of nodes) pool.breakLinks();
      }
    }
  }

  #performOfApplication(step: ApplicationStep): void {
    const { application } = this;
    switch (step.do) {
      case "set status":
        return application.setStatus(step.userId, step.status);
      case "save":
        return application.save(step.userId, step.ms);
      case "rename":
        return application.rename(step.userId);
      case "delete":
        return application.delete(step.userId);
      case "create":
        return application.create(step.userId);
      case "lock":
        return application.lockRow(step.userId);
      case "lock table":
        return application.lockTable();
      case "unlock":
        this.memberships?.unlock();
        return application.unlock();
      case "refill":
        return application.refill(step.ms);
      case "recreate":
        return application.recreate(step.ms);
      case "trigger":
        return application.setTrigger(step.userId, step.trigger);
    }
  }

  /** Whether an outage may begin: everything has recovered from the one before. */
  #beginOutage(ms: number): boolean {
    if (this.clock.now() < this.#nextOutageAt) return false;
    this.#nextOutageAt = this.clock.now() + ms + RECOVERY_MS;
    return true;
  }
}

function skewed(clock: FakeClock, ms: number): Clock {
  return {
    now: () => clock.now() + ms,
    sleep: (...args) => clock.sleep(...args),
    yield: () => clock.yield(),
  };
}
