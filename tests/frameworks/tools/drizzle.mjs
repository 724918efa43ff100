// node drizzle.mjs sync | add NAME... | read ID | save JSON
import { spawnSync } from "node:child_process";
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { users } from "./drizzle/schema.mjs";

const [command, ...args] = process.argv.slice(2);
if (command === "sync") {
  const options = ["push", "--force", "--config=drizzle.config.mjs"];
  const { status } = spawnSync(
    process.execPath,
    ["node_modules/drizzle-kit/bin.cjs", ...options],
    { stdio: "inherit" },
  );
  process.exit(status);
}
const database = drizzle(process.env.DATABASE_URL);
if (command === "add") {
  await database.insert(users).values(args.map((name) => ({ name })));
}
const withId = (id) => eq(users.id, Number(id));
if (command === "read") {
  const [user] = await database.select().from(users).where(withId(args[0]));
  console.log(JSON.stringify(user));
}
if (command === "save") {
  const { id, ...row } = JSON.parse(args[0]);
  await database.update(users).set(row).where(withId(id));
}
await database.$client.end();
