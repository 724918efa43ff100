/**
 * The compiler of an application that has a copy of the client library.
 *
 * @module
 */
import ts from "typescript";
import { sources } from "./documents.ts";
import { ROOT } from "./server.ts";

/** Everything that a strict project may ask for. */
const STRICT: ts.CompilerOptions = {
  strict: true,
  allowUnreachableCode: false,
  allowUnusedLabels: false,
  declaration: true,
  erasableSyntaxOnly: true,
  exactOptionalPropertyTypes: true,
  isolatedDeclarations: true,
  isolatedModules: true,
  noFallthroughCasesInSwitch: true,
  noImplicitOverride: true,
  noImplicitReturns: true,
  noPropertyAccessFromIndexSignature: true,
  noUncheckedIndexedAccess: true,
  noUncheckedSideEffectImports: true,
  noUnusedLocals: true,
  noUnusedParameters: true,
  skipLibCheck: false,
  verbatimModuleSyntax: true,
};

/** No Web API is declared: ECMAScript 2022 and nothing else. */
export const ES2022: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  lib: ["lib.es2022.d.ts"],
  types: [],
};

export const BUNDLER: ts.CompilerOptions = {
  // Not ESNext, which has `await` outside of functions.
  module: ts.ModuleKind.ES2020,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  allowImportingTsExtensions: true,
  noEmit: true,
};

export const NODENEXT: ts.CompilerOptions = {
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
};

export interface Application extends AsyncDisposable {
  readonly folder: string;
  write(file: string, text: string): Promise<void>;
  /** Compiles one of its files, and returns what the compiler complains of. */
  compile(file: string, options: ts.CompilerOptions): string[];
}

/** A project with the sources of the client library in `rollcall/`. */
export async function makeApplication(): Promise<Application> {
  const folder = await Deno.makeTempDir({ prefix: "rollcall-application-" });
  const write = async (file: string, text: string) => {
    const path = `${folder}/${file}`;
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(path, text);
  };
  await write("package.json", '{"type":"module"}');
  for (const [path, text] of await sources("src/client")) {
    await write(path.replace("src/client", "rollcall"), text);
  }
  return {
    ...{ folder, write },
    compile: (file, options) => compile(folder, [file], options),
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

/** Compiles files of a project, and returns what the compiler complains of. */
export function compile(
  folder: string,
  files: readonly string[],
  options: ts.CompilerOptions,
): string[] {
  const all = { ...STRICT, rootDir: folder, ...options };
  const paths = files.map((file) => `${folder}/${file}`);
  const program = ts.createProgram(paths, all);
  const { diagnostics } = program.emit();
  return [...ts.getPreEmitDiagnostics(program), ...diagnostics].map(
    ({ file, messageText }) =>
      `${file?.fileName.slice(folder.length + 1) ?? "options"}: ${
        ts.flattenDiagnosticMessageText(messageText, " ")
      }`,
  );
}

/** The members of the interfaces in a file, each with the names around it: `PlatformUrl.href`. */
export async function interfaceMembers(file: string): Promise<string[]> {
  const text = await Deno.readTextFile(`${ROOT}${file}`);
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022);
  const members: string[] = [];
  const visit = (node: ts.Node, names: readonly string[]) => {
    const isNamed = ts.isInterfaceDeclaration(node) || ts.isTypeElement(node);
    const here = isNamed ? [...names, nameOf(node, source)] : names;
    if (ts.isTypeElement(node)) members.push(here.join("."));
    ts.forEachChild(node, (child) => visit(child, here));
  };
  visit(source, []);
  return members;
}

function nameOf(
  node: ts.InterfaceDeclaration | ts.TypeElement,
  source: ts.SourceFile,
): string {
  return node.name?.getText(source) ?? "new";
}
