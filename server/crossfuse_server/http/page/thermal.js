// Grey PNG files of 16 bits, as thermal cameras write them: browsers show their upper eight bits
// only, in which next to nothing is left of the picture.

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const SHOWN = [0.01, 0.99]; // the same percentiles that the server maps to black and white

// The picture as something that can be drawn, or null for files of any other kind.
export async function readThermal(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  if (!SIGNATURE.every((value, at) => bytes[at] === value)) return null;
  const view = new DataView(bytes.buffer);
  const [depth, colour, , , interlaced] = bytes.subarray(24, 29);
  if (depth !== 16 || colour !== 0 || interlaced) return null;
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  const lines = await inflate(dataOf(bytes, view));
  return stretched(levelsOf(lines, width, height), width, height);
}

// The compressed samples, which may lie in several chunks.
function dataOf(bytes, view) {
  const found = [];
  for (let at = 8; at + 12 <= bytes.length; at += 12 + view.getUint32(at)) {
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (kind === "IDAT") found.push(bytes.subarray(at + 8, at + 8 + view.getUint32(at)));
  }
  return new Blob(found);
}

async function inflate(blob) {
  const stream = blob.stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Undoes the filter of each line; a line begins with the kind of its filter.
function levelsOf(lines, width, height) {
  const size = 2 * width;
  const levels = new Uint16Array(width * height);
  let above = new Uint8Array(size);
  for (let y = 0; y < height; y += 1) {
    const kind = lines[y * (size + 1)];
    const line = lines.subarray(y * (size + 1) + 1, (y + 1) * (size + 1));
    for (let x = 0; x < size; x += 1) {
      const left = x < 2 ? 0 : line[x - 2];
      line[x] += predicted(kind, left, above[x], x < 2 ? 0 : above[x - 2]);
    }
    for (let x = 0; x < width; x += 1) levels[y * width + x] = 256 * line[2 * x] + line[2 * x + 1];
    above = line;
  }
  return levels;
}

function predicted(kind, left, above, corner) {
  if (kind === 1) return left;
  if (kind === 2) return above;
  if (kind === 3) return (left + above) >> 1;
  if (kind !== 4) return 0;
  const [a, b, c] = [left, above, corner].map((value) => Math.abs(left + above - corner - value));
  if (a <= b && a <= c) return left;
  return b <= c ? above : corner;
}

function stretched(levels, width, height) {
  const sorted = levels.slice().sort();
  const [low, high] = SHOWN.map((share) => sorted[Math.floor(share * (sorted.length - 1))]);
  const picture = new ImageData(width, height);
  levels.forEach((level, at) => {
    const grey = (255 * (level - low)) / Math.max(high - low, 1);
    picture.data.set([grey, grey, grey, 255], 4 * at);
  });
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return canvas;
}
