// node prisma.mjs sync | reset | add NAME... | read ID | save JSON
import { spawnSync } from "node:child_process";

function prisma(...args) {
  const { status } = spawnSync(
    process.execPath,
    ["node_modules/prisma/build/index.js", ...args],
    { stdio: "inherit" },
  );
  if (status !== 0) process.exit(status ?? 1);
}

const [command, ...args] = process.argv.slice(2);
if (command === "sync") prisma("db", "push", "--accept-data-loss", ...args);
else if (command === "reset") {
  prisma("migrate", "reset", "--force", "--skip-generate");
} else {
  const { PrismaClient } = await import("@prisma/client");
  const { PrismaPg } = await import("@prisma/adapter-pg");
  const client = new PrismaClient({
    adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL }),
  });
  if (command === "add") {
    await client.user.createMany({ data: args.map((name) => ({ name })) });
  }
  if (command === "read") {
    const user = await client.user.findUnique({
      where: { id: Number(args[0]) },
    });
    console.log(JSON.stringify(user));
  }
  if (command === "save") {
    const { id, ...data } = JSON.parse(args[0]);
    await client.user.update({ where: { id }, data });
  }
  await client.$disconnect();
}
