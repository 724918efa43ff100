/**
 * Lint rules for the shape of `src/`: imports point down, and the core knows no technology.
 *
 * @module
 */

/** The floors of `src/`, from the bottom. A file may import from its own folder and from floors below. */
export const FLOORS: readonly (readonly string[])[] = [
  ["src/client/protocol", "src/base"],
  ["src/client", "src/core/store", "src/core/connections", "src/embedded"],
  ["src/core/roster"],
  ["src/core/feed", "src/core/fanout"],
  ["src/core/presence"],
  ["src/core"],
  ["src/postgres", "src/access/token"],
  ["src/access"],
  ["src/config", "src/telemetry"],
  ["src/http"],
  ["src/socket", "src/demo", "src/admin"],
  ["src"],
  ["."],
];

/** The core: it uses no database, no HTTP, no environment, and no clock of its own. */
const CORE = /^src\/core\//;

/** The client library runs in browsers and is a package of its own, so it imports nothing else. */
const CLIENT = /^src\/client\//;

/** A file of the client for one framework imports that framework. */
const FRAMEWORK = /^src\/client\/(react|vue)\.ts$/;

function projectPath(filename: string): string | undefined {
  return /(?:^|[\\/])((?:src[\\/].*|main)\.ts)$/.exec(filename)?.[1]
    ?.replaceAll("\\", "/");
}

function folderOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : ".";
}

function floorOf(path: string): number {
  const folder = folderOf(path);
  return FLOORS.findIndex((folders) => folders.includes(folder));
}

/** `./x.ts` as seen from a file, as a path in the project. */
function resolve(from: string, specifier: string): string {
  return new URL(specifier, `file:///${from}`).pathname.slice(1);
}

/** What is wrong with an import, or `undefined`. */
export function faultOf(from: string, specifier: string): string | undefined {
  const isRelative = specifier.startsWith(".");
  if (CLIENT.test(from)) {
    const target = isRelative ? resolve(from, specifier) : "";
    const isFramework = FRAMEWORK.exec(from)?.[1] === specifier;
    if (!CLIENT.test(target) && !isFramework) {
      return `${from} runs in browsers: expected no import from outside src/client/`;
    }
  }
  if (!isRelative) {
    return CORE.test(from)
      ? `${from} is part of the core: expected no import of "${specifier}" or any other package`
      : undefined;
  }
  const target = resolve(from, specifier);
  if (!target.endsWith(".ts")) return undefined;
  if (floorOf(from) < 0) {
    return `${from} is on no floor: add its folder to tests/project/imports_point_down.ts`;
  }
  const isSameFolder = folderOf(target) === folderOf(from);
  if (!isSameFolder && floorOf(target) >= floorOf(from)) {
    return `${from} imports ${target}, which is not below it: expected imports to point down`;
  }
  return undefined;
}

const plugin: Deno.lint.Plugin = {
  name: "rollcall",
  rules: {
    "imports-point-down": {
      create(context) {
        const from = projectPath(context.filename);
        if (from === undefined) return {};
        const check = (node: Deno.lint.Node, specifier: unknown) => {
          if (typeof specifier !== "string") return;
          const message = faultOf(from, specifier);
          if (message !== undefined) context.report({ node, message });
        };
        return {
          ImportDeclaration: (node) => check(node, node.source.value),
          ExportNamedDeclaration: (node) => check(node, node.source?.value),
          ExportAllDeclaration: (node) => check(node, node.source.value),
          ImportExpression: (node) => {
            if (node.source.type === "Literal") check(node, node.source.value);
          },
        };
      },
    },
    "core-has-no-clock": {
      create(context) {
        const from = projectPath(context.filename);
        if (from === undefined || !CORE.test(from)) return {};
        const forbidden = [
          "Deno",
          "Date",
          "performance",
          "setTimeout",
          "setInterval",
        ];
        const check = (node: Deno.lint.Node, used: Deno.lint.Node) => {
          if (used.type !== "Identifier" || !forbidden.includes(used.name)) {
            return;
          }
          const message =
            `${from} is part of the core: expected no ${used.name}`;
          context.report({ node, message });
        };
        return {
          MemberExpression: (node) => check(node, node.object),
          CallExpression: (node) => check(node, node.callee),
        };
      },
    },
  },
};

export default plugin;
