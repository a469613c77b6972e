// Lists what /openapi.json describes.

import { callJson, showError } from "./api.js";
import { element } from "./elements.js";
import { setUpToken } from "./token.js";

async function load() {
  try {
    const api = await callJson("/openapi.json");
    const found = Object.entries(api.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => operationCard(method, path, operation)),
    );
    const objects = Object.entries(api.components.schemas).map(([name, schema]) => objectCard(name, schema));
    document.getElementById("operations").replaceChildren(...found, ...objects);
    showError(document.getElementById("docs-error"), null);
  } catch (error) {
    showError(document.getElementById("docs-error"), error);
  }
}

function operationCard(method, path, operation) {
  const section = element("section", "", "card operation");
  const heading = element("h2");
  heading.append(element("code", method.toUpperCase(), "method"), element("code", path));
  section.append(heading, element("p", operation.summary), element("p", operation.description ?? "", "hint"));
  const parameters = (operation.parameters ?? []).map((one) => [
    one.name, one.in, kind(one.schema), one.description ?? one.schema.description ?? "",
  ]);
  if (parameters.length) section.append(element("h3", "Parameters"), table(["Name", "In", "Type", ""], parameters));
  for (const [type, { schema }] of Object.entries(operation.requestBody?.content ?? {})) {
    const fields = Object.entries(schema.properties).map(([name, field]) => [
      name, schema.required.includes(name) ? "required" : `default ${field.default ?? "none"}`, kind(field), field.description ?? "",
    ]);
    section.append(element("h3", `Body: ${type}`), table(["Field", "", "Type", ""], fields));
  }
  const answers = Object.entries(operation.responses).map(([status, answer]) => [
    status, Object.entries(answer.content ?? {}).map(described).join(", "), answer.description,
  ]);
  section.append(element("h3", "Answers"), table(["Status", "Type", ""], answers));
  return section;
}

function objectCard(name, schema) {
  const section = element("section", "", "card operation");
  const heading = element("h2");
  heading.append(element("code", name));
  const fields = Object.entries(schema.properties).map(([field, one]) => [field, kind(one), one.description ?? ""]);
  section.append(heading, element("p", schema.description ?? "", "hint"), table(["Field", "Type", ""], fields));
  return section;
}

function described([type, { schema }]) {
  return type === "application/json" && schema?.$ref ? kind(schema) : type;
}

function kind(schema) {
  if (schema.$ref) return schema.$ref.split("/").at(-1);
  if (schema.anyOf) return schema.anyOf.map(kind).join(" | ");
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.additionalProperties) return `${kind(schema.additionalProperties)} by name`;
  if (schema.type === "array") return `list of ${kind(schema.items)}`;
  return schema.format === "binary" ? "file" : (schema.type ?? "any");
}

function table(heads, rows) {
  const scroll = element("div", "", "table");
  const made = element("table");
  const head = element("tr");
  head.append(...heads.map((text) => element("th", text)));
  made.append(head, ...rows.map((cells) => {
    const line = element("tr");
    line.append(...cells.map((text) => element("td", text)));
    return line;
  }));
  scroll.append(made);
  return scroll;
}

document.getElementById("example").textContent =
  `curl -F ir=@ir.png -F vis=@vis.png -o fused.png ${location.origin}/v1/fuse`;
setUpToken(load);
load();
