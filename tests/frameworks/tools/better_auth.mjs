// node better_auth.mjs: makes the tables of Better Auth.
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { jwt } from "better-auth/plugins";
import pg from "pg";

const database = new pg.Pool({ connectionString: process.env.DATABASE_URL });
const options = {
  database,
  emailAndPassword: { enabled: true },
  plugins: [jwt()],
};
betterAuth({ ...options, secret: "only-for-a-test-of-the-schema-0123456789" });
const { runMigrations } = await getMigrations(options);
await runMigrations();
await database.end();
