"""Items as the SDK hands them to a session."""

from __future__ import annotations

from typing import Any


def user(text: Any) -> Any:
    return {"role": "user", "content": text}


def answer(*texts: str) -> Any:
    return {
        "type": "message",
        "role": "assistant",
        "id": "__fake_id__",
        "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []} for text in texts],
    }


def call(id: str, name: str = "weather", arguments: str = '{"city":"Ulm"}') -> Any:
    known = {"type": "function_call", "id": "__fake_id__", "call_id": id}
    return {**known, "name": name, "arguments": arguments}


def result(id: str, output: str = "rain") -> Any:
    return {"type": "function_call_output", "call_id": id, "output": output}


def reasoning(text: str = "Hm") -> Any:
    return {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": text}]}
