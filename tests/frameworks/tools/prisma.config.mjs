// Prisma's engine for schemas is a program that it downloads. The same engine is in the package as
// WebAssembly, for drivers in JavaScript: it runs where nothing can be downloaded.
import pg from "pg";
import { PrismaPg } from "@prisma/adapter-pg";
import { defineConfig } from "prisma/config";

// The driver does not know the types "char" and name, which the engine reads from the catalog.
const { addFields } = pg.Result.prototype;
pg.Result.prototype.addFields = function (fields) {
  for (const field of fields) {
    if (field.dataTypeID === 18 || field.dataTypeID === 19) {
      field.dataTypeID = 25;
    }
  }
  return addFields.call(this, fields);
};

// The engine of version 6 fails at the constraints that Postgres 18 has for "not null".
const { query } = pg.Client.prototype;
pg.Client.prototype.query = function (config, ...args) {
  if (typeof config?.text === "string") {
    config.text = config.text.replace(
      "contype NOT IN ('p', 'u', 'f')",
      "contype NOT IN ('p', 'u', 'f', 'n')",
    );
  }
  return query.call(this, config, ...args);
};

// The command line has a timer of a minute, which would keep the process alive for that long.
const { setTimeout } = globalThis;
globalThis.setTimeout = (run, ms, ...args) => {
  const timer = setTimeout(run, ms, ...args);
  if (ms >= 10_000) timer.unref();
  return timer;
};

export default defineConfig({
  schema: `prisma/${process.env.MODELS ?? "schema"}.prisma`,
  experimental: { adapter: true },
  engine: "js",
  adapter: async () =>
    new PrismaPg({
      connectionString: process.env.DATABASE_URL,
      idleTimeoutMillis: 100,
      allowExitOnIdle: true,
    }),
});
