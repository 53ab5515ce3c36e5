// The openai package of npm: chat completions.
import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: "unused" });
const model = "auto";
const messages = [{ role: "user", content: "Say hello." }];
const tools = [
  {
    type: "function",
    function: { name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } } },
  },
];

let text = "";
for await (const chunk of await client.chat.completions.create({ model, messages, stream: true })) {
  text += chunk.choices[0]?.delta?.content ?? "";
}
assert.equal(text, "Hello world");

const first = await client.chat.completions.create({ model, messages, tools });
const call = first.choices[0].message.tool_calls[0];
assert.equal(first.choices[0].finish_reason, "tool_calls");
assert.deepEqual(JSON.parse(call.function.arguments), { city: "Köln" });

const result = { role: "tool", tool_call_id: call.id, content: "12 °C" };
const turns = [...messages, first.choices[0].message, result];
const last = await client.chat.completions.create({ model, messages: turns, tools });
assert.equal(last.choices[0].message.content, "Hello world");
