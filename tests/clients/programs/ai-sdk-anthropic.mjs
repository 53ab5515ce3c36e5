// The Vercel AI SDK with its provider for Anthropic: messages.
import { createAnthropic } from "@ai-sdk/anthropic";
import { check } from "./shared/ai-sdk.mjs";

await check(createAnthropic({ baseURL: `${process.argv[2]}/v1`, apiKey: "unused" })("claude-auto"));
