import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The backend of the examples. In production it serves the built page.
const backend = "http://127.0.0.1:3000";

export default defineConfig({
  plugins: [react()],
  server: {
    host: "127.0.0.1",
    port: Number(process.env.PORT ?? 5173),
    proxy: {
      "/login": backend,
      "/logout": backend,
      "/rollcall-token": backend,
    },
  },
});
