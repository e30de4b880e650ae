// Bundles styles and islands into the Python package, with hashed names and a manifest.json each.
//   node build.mjs          once, minified
//   node build.mjs --watch  again at every change, readable
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { watch } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import esbuild from "esbuild";

const here = path.dirname(fileURLToPath(import.meta.url));
const source = path.join(here, "../src/gatehouse");
const watching = process.argv.includes("--watch");

/** Faces of the product: where their files go and what they are made of (name in the manifest -> entry). */
const faces = [
  {
    out: path.join(source, "cloud/static/dist"),
    styles: { "portal.css": "styles/portal-ltr.css", "portal.rtl.css": "styles/portal-rtl.css" },
    worker: "src/stream-worker.ts",
    modules: { "portal.js": "src/portal.ts" },
  },
  {
    out: path.join(source, "lab/static/dist"),
    styles: { "lab.css": "styles/lab.css" },
    modules: { "lab.js": "src/lab.ts" },
  },
];

const shared = {
  absWorkingDir: here,
  bundle: true,
  write: false,
  metafile: true,
  minify: !watching,
  sourcemap: watching ? "inline" : false,
  target: ["chrome120", "firefox121", "safari17"],
  loader: { ".woff2": "file" },
  assetNames: "[name]-[hash]",
  entryNames: "[name]-[hash]",
  logLevel: "warning",
  legalComments: "none",
};

/** One SVG file with a <symbol> per icon: Tabler's, by the names in icons.json, and our own from icons/. */
async function sprite() {
  const { outline, filled } = JSON.parse(await readFile(path.join(here, "icons.json"), "utf8"));
  const wanted = [
    ...outline.map((name) => [name, path.join("node_modules/@tabler/icons/icons/outline", `${name}.svg`)]),
    ...filled.map((name) => [`${name}-filled`, path.join("node_modules/@tabler/icons/icons/filled", `${name}.svg`)]),
    ...(await readdir(path.join(here, "icons"))).map((file) => [path.parse(file).name, path.join("icons", file)]),
  ];
  const symbols = await Promise.all(
    wanted.map(async ([id, file]) => {
      const svg = await readFile(path.join(here, file), "utf8").catch(() => {
        throw new Error(`icons.json names "${id}", but there is no ${file}`);
      });
      const box = /viewBox="([^"]+)"/.exec(svg)[1];
      const paint = id.endsWith("-filled")
        ? 'fill="currentColor" stroke="none"'
        : 'fill="none" stroke="currentColor" stroke-linecap="round" stroke-linejoin="round"';
      const body = svg.replace(/<!--[\s\S]*?-->/g, "").replace(/^[\s\S]*?<svg[^>]*>|<\/svg>\s*$/g, "").replace(/\s*\n\s*/g, "");
      return `<symbol id="${id}" viewBox="${box}" ${paint}>${body}</symbol>`;
    }),
  );
  return Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg">${symbols.join("")}</svg>\n`);
}

/** Builds one group of entries; returns its files and the names under which the manifest lists them. */
async function group(entries, options) {
  const result = await esbuild.build({ ...shared, ...options, entryPoints: Object.values(entries) });
  const files = result.outputFiles.map((file) => [path.basename(file.path), file.contents]);
  const names = {};
  for (const [file, meta] of Object.entries(result.metafile.outputs)) {
    const listed = Object.entries(entries).find(([, entry]) => entry === meta.entryPoint);
    if (listed) names[listed[0]] = path.basename(file);
  }
  return { files, names };
}

async function build(face, icons) {
  const options = (more) => ({ ...more, outdir: face.out });
  const parts = [
    await group(face.styles, options({})),
    await group({ "theme.js": "src/theme.ts" }, options({ format: "iife" })),
  ];
  const define = {};
  if (face.worker) {
    const worker = await group({ "stream-worker.js": face.worker }, options({ format: "iife" }));
    define.STREAM_WORKER = JSON.stringify(`./${worker.names["stream-worker.js"]}`);
    parts.push(worker);
  }
  parts.push(await group(face.modules, options({ format: "esm", define })));
  for (const [plain, contents] of [["icons.svg", icons], ["favicon.svg", await readFile(path.join(here, "favicon.svg"))]]) {
    const hash = createHash("sha256").update(contents).digest("hex").slice(0, 8).toUpperCase();
    const hashed = plain.replace(".svg", `-${hash}.svg`);
    parts.push({ files: [[hashed, contents]], names: { [plain]: hashed } });
  }

  const files = new Map(parts.flatMap((part) => part.files));
  const manifest = Object.assign({}, ...parts.map((part) => part.names));
  files.set("manifest.json", Buffer.from(JSON.stringify(manifest, null, 2) + "\n"));
  await mkdir(face.out, { recursive: true });
  // Written beside and renamed, the manifest last: a server that reads meanwhile never sees half a file.
  for (const [name, contents] of files) {
    await writeFile(path.join(face.out, `.${name}`), contents);
    await rename(path.join(face.out, `.${name}`), path.join(face.out, name));
  }
  for (const old of await readdir(face.out)) if (!files.has(old)) await rm(path.join(face.out, old), { recursive: true });
  return files.size;
}

async function all() {
  const started = performance.now();
  const icons = await sprite();
  let count = 0;
  for (const face of faces) count += await build(face, icons);
  console.log(`frontend: ${count} files in ${Math.round(performance.now() - started)} ms`);
}

await all();
if (watching) {
  let waiting;
  for (const folder of ["src", "styles", "icons"])
    watch(path.join(here, folder), { recursive: true }, () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => all().catch((error) => console.error(String(error.message ?? error))), 80);
    });
}
