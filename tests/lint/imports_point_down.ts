/**
 * Lint rules for the shape of `src/`: imports point down, and the core knows no technology.
 *
 * @module
 */

/** The floors of the house, from the bottom. A file may import from its own floor and below. */
const FLOORS: readonly (readonly RegExp[])[] = [
  [
    /^src\/(protocol|limits|clock|log|measure|token_bucket|reason|start_error|client)\.ts$/,
    /^src\/client\//,
    /^src\/store\/store\.ts$/,
  ],
  [/^src\/(connection|hub|roster|ring|audience|sync_texts)\.ts$/],
  [/^src\/(presence|grace|lease|names|feed|history|fanout|slow_reader|pump|upkeep|revocation|core)\.ts$/],
  [
    /^src\/(http|store)\//,
    /^src\/(auth|metrics|loop_monitor|listener|key_set|token_cache|provision|client_address|admission|config|environment|data_directory)\.ts$/,
  ],
  [/^src\/(server|cli)\.ts$/, /^main\.ts$/],
];

/** Files that touch no database, no HTTP, no environment and no clock of their own. */
const CORE =
  /^src\/(protocol|limits|reason|measure|connection|hub|roster|ring|audience|sync_texts|presence|grace|lease|names|feed|history|fanout|slow_reader|pump|upkeep|revocation|core|store\/store)\.ts$/;

/** The client library runs in browsers: it travels with the protocol and nothing else. */
const CLIENT = /^src\/client(\/\w+)?\.ts$/;
const PROTOCOL = "src/protocol.ts";

function projectPath(filename: string): string | undefined {
  return /(?:^|[\\/])((?:src[\\/].*|main)\.ts)$/.exec(filename)?.[1]
    ?.replaceAll("\\", "/");
}

function floorOf(path: string): number {
  return FLOORS.findIndex((patterns) =>
    patterns.some((pattern) => pattern.test(path))
  );
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
    return CLIENT.test(target) || target === PROTOCOL
      ? undefined
      : `${from} runs in browsers: expected no import but ${PROTOCOL}`;
  }
  if (!isRelative) {
    return CORE.test(from)
      ? `${from} is part of the core: expected no import of "${specifier}" or any other package`
      : undefined;
  }
  const target = resolve(from, specifier);
  if (floorOf(from) < 0) {
    return `${from} stands on no floor: add it to tests/lint/imports_point_down.ts`;
  }
  if (floorOf(target) > floorOf(from)) {
    return `${from} imports ${target}, which is above it: expected imports to point down`;
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
