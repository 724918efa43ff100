/**
 * A Postgres and its standby, which receives what the other one writes and can take over.
 *
 * @module
 */
import { findBinaries, startEmbedded } from "../../src/embedded/embedded.ts";
import { ownerFor } from "../../src/embedded/owner.ts";
import { Postmaster } from "../../src/embedded/postmaster.ts";
import { query, silentLog } from "./database.ts";
import { openFolder } from "./scratch_folder.ts";

export interface Pair extends AsyncDisposable {
  readonly primary: Postmaster;
  readonly standby: Postmaster;
  /** Makes the standby take writes. */
  promote(): Promise<void>;
}

export async function startPair(): Promise<Pair> {
  const root = await openFolder("rollcall-pair-");
  // Makes the data.
  await (await startEmbedded(root, silentLog)).stop();
  const { postgres } = await findBinaries();
  const owner = await ownerFor([postgres, root]);
  const password = await Deno.readTextFile(`${root}/postgres-password`);
  const start = async (data: string) => {
    await owner.own(data);
    const args = [postgres, owner, data, password, silentLog] as const;
    const postmaster = new Postmaster(...args);
    await postmaster.start();
    return postmaster;
  };
  const data = `${root}/postgres`;
  const copy = `${root}/standby`;
  await new Deno.Command("cp", { args: ["-a", data, copy] }).output();
  const primary = await start(data);
  const { hostname, port, username } = new URL(primary.url);
  await Deno.writeTextFile(`${copy}/standby.signal`, "");
  await Deno.writeTextFile(
    `${copy}/postgresql.auto.conf`,
    `primary_conninfo = 'host=${hostname} port=${port} user=${username} password=${password}'\n`,
  );
  const standby = await start(copy);
  return {
    primary,
    standby,
    promote: async () =>
      void await query(standby.url, "select pg_promote(true, 20)"),
    [Symbol.asyncDispose]: async () => {
      await Promise.all([primary.stop(), standby.stop()]);
      await Deno.remove(root, { recursive: true });
    },
  };
}
