// Files of pictures as something that can be drawn.

import { readThermal } from "./thermal.js";

// The picture of a file, or null where the browser cannot show that kind (the server may take it).
export async function readPicture(blob) {
  try {
    return (await readThermal(blob)) ?? (await createImageBitmap(blob));
  } catch {
    return null;
  }
}

export function draw(canvas, picture) {
  canvas.width = picture?.width ?? 1;
  canvas.height = picture?.height ?? 1;
  if (picture) canvas.getContext("2d").drawImage(picture, 0, 0);
}

// Which of two files is the infrared one: by their names, else the one with less colour.
export async function sortPair(first, second) {
  const thermal = /(^|[^a-z])(ir|lwir|thermal|infrared|flir)([^a-z]|$)/i;
  if (thermal.test(second.name) && !thermal.test(first.name)) return [second, first];
  if (thermal.test(first.name) && !thermal.test(second.name)) return [first, second];
  const [one, two] = await Promise.all([colourOf(first), colourOf(second)]);
  return one <= two ? [first, second] : [second, first];
}

async function colourOf(blob) {
  const picture = await readPicture(blob);
  if (!picture) return 0;
  const canvas = new OffscreenCanvas(64, 64);
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0, 64, 64);
  const { data } = context.getImageData(0, 0, 64, 64);
  let colour = 0;
  for (let at = 0; at < data.length; at += 4) {
    colour += Math.max(data[at], data[at + 1], data[at + 2]) - Math.min(data[at], data[at + 1], data[at + 2]);
  }
  return colour;
}
