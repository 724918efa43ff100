/**
 * Which workloads run, and who takes part.
 *
 * @module
 */
import { constants, type Contender, rollcall } from "./contenders.ts";
import { stormAndFloor } from "./floor_workload.ts";
import { hostilePeers } from "./hostile_workload.ts";
import { failover, spread } from "./nodes_workload.ts";
import { constantBody, list } from "./list_workload.ts";
import { type Databases, transitions } from "./transitions.ts";
import * as workloads from "./workloads.ts";
import type { Result, Stage } from "./workloads.ts";

export interface Task {
  readonly workload: string;
  readonly among: (contender: Contender) => boolean;
  run(contender: Contender): Promise<Result>;
}

/** How much of each workload. */
export interface Scale {
  readonly storms: readonly number[];
  /** Users of the storms against the floor. */
  readonly floors: readonly [number, number];
  readonly receivers: number;
  readonly churns: number;
  readonly loneTimes: number;
  readonly idle: number;
  readonly requests: number;
  readonly transitions: number;
  readonly hostile: number;
  readonly survivors: number;
}

export const FULL: Scale = {
  storms: [2_000, 5_000, 10_000, 15_000],
  floors: [3_000, 10_000],
  ...{ receivers: 1_000, churns: 5, loneTimes: 100, idle: 10_000 },
  ...{ requests: 20_000, transitions: 20_000, hostile: 1_000 },
  survivors: 2_000,
};

export const QUICK: Scale = {
  storms: [],
  floors: [300, 1_000],
  ...{ receivers: 500, churns: 1, loneTimes: 10, idle: 3_000 },
  ...{ requests: 2_000, transitions: 4_000, hostile: 100 },
  survivors: 1_000,
};

export const WORKLOADS = {
  storm: (users: number) => `storm of ${users}`,
  floor: (users: number) => `storm of ${users} against the floor`,
  churn: ({ receivers }: Scale) => `churn of 200, ${receivers} receive`,
  lone: ({ receivers }: Scale) => `lone transition, ${receivers} receive`,
  idle: "idle connections",
  list: (users: number) => `list of ${users}`,
  transitions: (idType: string) => `transitions of ${idType} ids`,
  hostile: "hostile peers",
} as const;

const { name: V2 } = rollcall(2, "postgres");
const { name: V2_WS } = rollcall(2, "postgres", "ws");

const isOurs = ({ name }: Contender) => name.startsWith("rollcall");
const isInMemory = ({ name }: Contender) => name.includes("in memory");
const onPostgres = ({ storage }: Contender) => storage === "postgres";
const isConstant = ({ name }: Contender) =>
  constants.some((constant) => constant.name === name);
const isPeer = (contender: Contender) => !isConstant(contender);
/** The peers have none, and Rollcall has one. */
const withDatabase = (contender: Contender) =>
  isPeer(contender) && !isInMemory(contender);
const isFast = ({ dialect, name }: Contender) =>
  dialect === "v2" || name.startsWith("Bun");

/** The storms of so many users, and nothing else. */
export function stormsOf(stage: Stage, users: number): Task[] {
  return [stormTask(stage, users, isFast), floorTask(stage, users)];
}

/** The workloads that the budgets need. */
export function budgetedTasks(
  stage: Stage & Databases,
  scale: Scale,
): Task[] {
  const { receivers, churns, loneTimes } = scale;
  return [
    ...scale.floors.map((users) => floorTask(stage, users)),
    stormTask(stage, 1_000, withDatabase),
    {
      workload: WORKLOADS.churn(scale),
      among: withDatabase,
      run: (contender) =>
        workloads.churn(contender, stage, {
          ...{ receivers, visitors: 200, rounds: churns },
        }),
    },
    {
      workload: WORKLOADS.idle,
      among: withDatabase,
      run: (contender) => workloads.idle(contender, stage, scale.idle),
    },
    listTask(stage, 1_000, scale),
    ...(["integer", "uuid", "text"] as const).map((idType) => ({
      workload: WORKLOADS.transitions(idType),
      among: ({ name }: Contender) => name === V2,
      run: async () => await transitions(stage, idType, scale.transitions),
    })),
    {
      workload: WORKLOADS.hostile,
      among: ({ name }) => name === V2_WS,
      run: (contender) => hostilePeers(contender, stage, scale.hostile),
    },
    {
      workload: WORKLOADS.lone(scale),
      among: withDatabase,
      run: (contender) =>
        workloads.lone(contender, stage, { receivers, times: loneTimes }),
    },
  ];
}

/** How cost grows with the number of users, and what else is in the documentation. */
export function otherTasks(stage: Stage, scale: Scale): Task[] {
  const [, ...largeStorms] = scale.storms;
  const storms = scale.storms.map((users) =>
    stormTask(stage, users, (contender) => {
      if (users <= 2_000) return isOurs(contender);
      if (users <= 5_000) return isPeer(contender);
      return isFast(contender) && (users <= 10_000 || isOurs(contender));
    })
  );
  const isLarge = largeStorms.length > 0;
  return [
    {
      workload: "a node is killed",
      among: (contender) => isOurs(contender) && onPostgres(contender),
      run: (contender) => failover(contender, stage, scale.survivors),
    },
    ...storms,
    ...isLarge
      ? [listTask(stage, 10_000, scale), ...spreadTasks(stage, scale)]
      : [],
  ];
}

function stormTask(stage: Stage, users: number, among: Task["among"]): Task {
  return {
    workload: WORKLOADS.storm(users),
    among,
    run: (contender) => workloads.storm(contender, stage, users),
  };
}

/** A storm of version 2 against the same bytes from a bare server of the same engine. */
function floorTask(stage: Stage, users: number): Task {
  return {
    workload: WORKLOADS.floor(users),
    among: (contender) => onPostgres(contender) && contender.dialect === "v2",
    run: (contender) => stormAndFloor(contender, stage, users),
  };
}

function listTask(stage: Stage, users: number, { requests }: Scale): Task {
  return {
    workload: WORKLOADS.list(users),
    // Ten thousand connects by the plain loop would take longer than all other workloads together.
    among: (contender) =>
      isConstant(contender) ||
      contender.name !== "Socket.IO" && !/^rollcall.v1/.test(contender.name) &&
        (users < 10_000 || isFast(contender)),
    run: (contender) =>
      isConstant(contender)
        ? constantBody(contender, { users, requests })
        : list(contender, stage, { users, requests }),
  };
}

function spreadTasks(stage: Stage, { churns }: Scale): Task[] {
  return [1, 2].map((nodes) => ({
    workload: `churn over ${nodes} node${nodes > 1 ? "s" : ""}`,
    among: (contender) => onPostgres(contender) && contender.dialect === "v1",
    run: (contender) =>
      spread(contender, stage, {
        ...{ nodes, receivers: 2_000, visitors: 200, rounds: churns },
      }),
  }));
}
