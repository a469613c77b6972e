// Fuses picture files through a CrossFuse server:
//
//   node fuse_client.mjs fuse HOST:PORT IR VIS OUT.png             one pair, one call
//   node fuse_client.mjs stream HOST:PORT IR_DIR VIS_DIR OUT_DIR   two folders, one stream
//
// The files are sent as they are (PNG, JPEG or WebP); the server decodes them.
// Exit codes: 0 all fused, 1 a call, a frame or a file failed, 2 bad usage.

import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { extname, join, parse } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

// Without a deadline a call to a server that hangs would never come back.
const TIMEOUT_MS = 10_000;
const PROTO_ROOT = fileURLToPath(new URL("../../protos", import.meta.url));
const ENCODINGS = {
  ".png": "ENCODING_PNG",
  ".jpg": "ENCODING_JPEG",
  ".jpeg": "ENCODING_JPEG",
  ".webp": "ENCODING_WEBP",
};

// One client serves a whole program and connects again by itself. For TLS give
// grpc.credentials.createSsl() instead.
function connect(target) {
  const definition = protoLoader.loadSync("crossfuse/v1/fusion.proto", {
    includeDirs: [PROTO_ROOT],
    keepCase: true,
    enums: String,
    longs: Number,
    oneofs: true,
  });
  const { FusionService } = grpc.loadPackageDefinition(definition).crossfuse.v1;
  return new FusionService(target, grpc.credentials.createInsecure(), {
    // gRPC refuses answers of more than 4 MB unless told otherwise; a RAW colour frame has more.
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
    // A stream whose server vanished without a word ends with UNAVAILABLE instead of waiting.
    "grpc.keepalive_time_ms": 30_000,
  });
}

async function loadImage(path) {
  const encoding = ENCODINGS[extname(path).toLowerCase()];
  if (!encoding) throw new Error(`${path}: valid endings are ${Object.keys(ENCODINGS).join(", ")}`);
  return { encoding, data: await readFile(path) };
}

async function fuse(client, irPath, visPath, outPath) {
  const request = {
    ir: await loadImage(irPath),
    vis: await loadImage(visPath),
    options: { output_encoding: "ENCODING_PNG" },
  };
  const response = await new Promise((resolve, reject) => {
    const deadline = Date.now() + TIMEOUT_MS;
    client.Fuse(request, { deadline }, (error, answer) =>
      error ? reject(error) : resolve(answer),
    );
  });
  await writeFile(outPath, response.fused.data);
  const { fused, model, timings } = response;
  console.log(
    `${outPath}: ${fused.width}x${fused.height}, model ${model.name}:${model.version}, ` +
      `inference ${timings.infer_us / 1000} ms of ${timings.total_us / 1000} ms in the server`,
  );
}

// The messages of a stream: its configuration, then the frames.
async function* streamRequests(names, irFolder, visFolder) {
  yield {
    config: {
      options: { output_encoding: "ENCODING_PNG" },
      // Files wait. For live cameras DROP_POLICY_OLDEST keeps the delay short.
      drop_policy: "DROP_POLICY_NONE",
    },
  };
  for (const [index, name] of names.entries()) {
    yield {
      frame: {
        frame_id: index + 1,
        capture_time_us: Date.now() * 1000,
        ir: await loadImage(join(irFolder, name)),
        vis: await loadImage(join(visFolder, name)),
      },
    };
  }
}

async function stream(client, irFolder, visFolder, outFolder) {
  const files = (await readdir(irFolder)).sort();
  const names = files.filter((name) => extname(name).toLowerCase() in ENCODINGS);
  await mkdir(outFolder, { recursive: true });
  const call = client.FuseStream();

  // pipeline() stops reading files while the server does not take more: memory stays bounded.
  const requests = Readable.from(streamRequests(names, irFolder, visFolder), { highWaterMark: 1 });
  const sending = pipeline(requests, call);

  // Every frame is answered exactly once, in order; a bad frame does not end the stream.
  const receiving = (async () => {
    let failed = 0;
    for await (const answer of call) {
      const name = names[answer.frame_id - 1];
      if (answer.outcome === "fused") {
        await writeFile(join(outFolder, `${parse(name).name}.png`), answer.fused.image.data);
        console.log(`${name}: fused in ${answer.fused.timings.total_us / 1000} ms`);
      } else {
        failed += 1;
        console.error(`${name}: ${answer.outcome}: ${answer[answer.outcome].message}`);
      }
    }
    return failed;
  })();

  try {
    const [, failed] = await Promise.all([sending, receiving]);
    if (failed > 0) throw new Error(`${failed} of ${names.length} frames were not fused`);
  } finally {
    call.cancel();
  }
}

const [command, target, ...paths] = process.argv.slice(2);
const run = { fuse, stream }[command];
if (!run || paths.length !== 3) {
  console.error("usage: node fuse_client.mjs fuse HOST:PORT IR VIS OUT.png");
  console.error("       node fuse_client.mjs stream HOST:PORT IR_DIR VIS_DIR OUT_DIR");
  process.exit(2);
}
const client = connect(target);
try {
  await run(client, ...paths);
} catch (error) {
  // A gRPC error holds its status; any other error is a file that could not be read or written.
  const status = grpc.status[error.code];
  console.error(status ? `gRPC status ${status}: ${error.details}` : error.message);
  process.exitCode = 1;
} finally {
  client.close();
}
