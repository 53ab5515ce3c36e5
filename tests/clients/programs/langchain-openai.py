"""LangChain with its package for OpenAI: chat completions."""

import sys

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"12 °C in {city}"


model = ChatOpenAI(model="auto", base_url=f"{sys.argv[1]}/v1", api_key="unused")
assert "".join(chunk.text for chunk in model.stream("Say hello.")) == "Hello world"

turns = [HumanMessage("Say hello.")]
with_tools = model.bind_tools([weather])
first = with_tools.invoke(turns)
(call,) = first.tool_calls
assert (call["name"], call["args"]) == ("weather", {"city": "Köln"})
result = ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"])
assert with_tools.invoke([*turns, first, result]).text == "Hello world"
