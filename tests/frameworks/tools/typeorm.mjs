// node typeorm.mjs sync | add NAME... | read ID | save JSON
import "reflect-metadata";
import { DataSource, EntitySchema } from "typeorm";

const User = new EntitySchema({
  name: "User",
  columns: {
    id: { type: "int", primary: true, generated: true },
    name: { type: "varchar" },
    status: { type: "varchar", default: "offline" },
  },
});
const source = new DataSource({
  type: "postgres",
  url: process.env.DATABASE_URL,
  entities: [User],
});
await source.initialize();
const users = source.getRepository("User");

const [command, ...args] = process.argv.slice(2);
if (command === "sync") await source.synchronize();
if (command === "add") await users.insert(args.map((name) => ({ name })));
if (command === "read") {
  console.log(JSON.stringify(await users.findOneBy({ id: Number(args[0]) })));
}
if (command === "save") await users.save(JSON.parse(args[0]));
await source.destroy();
