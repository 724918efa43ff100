import { defineConfig } from "drizzle-kit";

export default defineConfig({
  dialect: "postgresql",
  schema: `./drizzle/${process.env.MODELS ?? "schema"}.mjs`,
  dbCredentials: { url: process.env.DATABASE_URL },
});
