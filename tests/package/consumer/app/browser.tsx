import { StrictMode } from "react";
import { hydrateRoot } from "react-dom/client";
import { App, counts, type Settings } from "./app.tsx";

const render = (settings: Settings) => <StrictMode><App {...settings} /></StrictMode>;
const container = document.getElementById("root");
if (container === null) throw new Error("There is no root");
const root = hydrateRoot(container, render({ isLoggedIn: true, watch: "*" }));

Object.assign(globalThis, {
  counts,
  show: (settings: Settings) => root.render(render(settings)),
  unmount: () => root.unmount(),
});
