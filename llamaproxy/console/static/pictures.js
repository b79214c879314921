"use strict";
// Pictures on their way: made small enough for a model and for the line, without what cameras write beside them.

// Pixels of the longer side as sent, and as kept with the chat; bytes of a PNG that goes as it is; pictures at once.
const SIDE = 1568, THUMB = 640, SMALL = 400000, MOST = 8;
const HEIC = /heic|heif/i;

// The picture in a file, as sent and as kept. Throws what may be told.
async function pictureOf(file) {
  const name = file.name || "The picture";
  let image;
  try {
    image = await createImageBitmap(file);
  } catch {
    if (HEIC.test(`${file.type} ${name}`)) throw new Error(`${name} is a HEIC picture, which this browser cannot read. Send it as JPEG; an iPhone makes those with Settings, Camera, Formats, Most Compatible.`);
    throw new Error(`${name} is not a picture that this browser can read.`);
  }
  try {
    const whole = file.type === "image/png" && file.size <= SMALL && Math.max(image.width, image.height) <= SIDE;
    return {full: whole ? await asIs(file) : drawn(image, SIDE, 0.85), thumb: drawn(image, THUMB, 0.7)};
  } finally {
    image.close();
  }
}

function drawn(image, side, quality) {
  const scale = Math.min(1, side / Math.max(image.width, image.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(image.width * scale));
  canvas.height = Math.max(1, Math.round(image.height * scale));
  const pen = canvas.getContext("2d");
  // A JPEG knows no transparency, and would show it as black.
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", quality);
}

function asIs(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Error(`${file.name} cannot be read.`));
    reader.readAsDataURL(file);
  });
}
