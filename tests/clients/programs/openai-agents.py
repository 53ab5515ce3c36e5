"""OpenAI's agents: responses."""

import asyncio
import sys

from agents import Agent, Runner, function_tool, set_default_openai_client, set_tracing_disabled
from openai import AsyncOpenAI

asked: list[str] = []


@function_tool
def weather(city: str) -> str:
    """The weather of a city."""
    asked.append(city)
    return "12 °C"


async def main() -> None:
    set_tracing_disabled(True)
    set_default_openai_client(AsyncOpenAI(base_url=f"{sys.argv[1]}/v1", api_key="unused"))

    streamed = Runner.run_streamed(Agent(name="greeter", model="auto"), "Say hello.")
    deltas = [
        event.data.delta
        async for event in streamed.stream_events()
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]
    assert "".join(deltas) == streamed.final_output == "Hello world"

    forecaster = Agent(name="forecaster", model="auto", tools=[weather])
    answer = await Runner.run(forecaster, "Say hello.")
    assert asked == ["Köln"]
    assert answer.final_output == "Hello world"


asyncio.run(main())
