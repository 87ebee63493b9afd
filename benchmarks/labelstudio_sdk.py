"""The half of ``benchmarks.labelstudio`` that runs where label-studio-sdk is installed, and knows nothing of modest.

Reads ``config.xml`` and ``tasks.json`` of a folder; checks them as Label Studio's SDK does; lets three people answer by
the script in ``answers.json``; checks what they said; and writes ``export.json``, ``min.json``, ``export.csv`` and
``export.tsv`` by the SDK's converter. Prints one JSON object of counts.
"""

import json
import shutil
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

warnings.simplefilter("ignore")

from label_studio_sdk.converter import Converter  # noqa: E402
from label_studio_sdk.label_interface import LabelInterface  # noqa: E402


def region(kind, name, value):
    return {"id": f"{kind}{name}", "type": kind, "from_name": name, "to_name": "item", "value": value}


def annotation(number, said):
    """What one person did with a task: chose, typed, submitted nothing, or skipped it."""
    result = [region("choices", "answer", {"choices": [said["choice"]]})] if "choice" in said else []
    result += [region("textarea", "other", {"text": [said["typed"]]})] if "typed" in said else []
    return {
        "id": number,
        "completed_by": said["by"],
        "result": result,
        "was_cancelled": bool(said.get("skipped")),
        "created_at": f"2026-11-22T08:{number % 60:02d}:00.000000Z",
        "updated_at": f"2026-11-22T09:{number % 60:02d}:00.000000Z",
        "lead_time": 1.5,
    }


def main(folder: Path) -> None:
    config = (folder / "config.xml").read_text(encoding="utf-8")
    tasks, script = (json.loads((folder / name).read_text(encoding="utf-8")) for name in ("tasks.json", "answers.json"))
    interface = LabelInterface(config)
    interface.validate()
    fitting = sum(interface.validate_task({"data": task["data"]}) for task in tasks)
    given = [prediction for task in tasks for prediction in task["predictions"]]
    predictions = [error for prediction in given for error in interface.validate_prediction(prediction, True)]
    if interface.validate_region(region("choices", "answer", {"choices": ["no choice at all"]})):
        sys.exit("the SDK takes any choice for a valid one; its word is worth nothing")
    number, errors = 0, []
    for k, (task, said) in enumerate(zip(tasks, script), start=1):
        task["id"], task["annotations"] = k, []
        for one in said:
            number += 1
            task["annotations"].append(annotation(number, one))
            errors += [e for r in task["annotations"][-1]["result"] for e in interface.validate_region(r, True)]
    source = folder / "export.json"
    source.write_text(json.dumps(tasks, ensure_ascii=False), encoding="utf-8")
    converter = Converter(config=config, project_dir=str(folder))
    for name, kind, made in (("min.json", "JSON_MIN", "result.json"), ("export.csv", "CSV", "result.csv"),
                             ("export.tsv", "TSV", "result.csv")):  # fmt: skip
        converter.convert(str(source), str(folder / "out"), kind, is_dir=False)
        shutil.move(folder / "out" / made, folder / name)
    told = {"sdk": version("label-studio-sdk"), "numpy": version("numpy"), "tasks": len(tasks), "fitting": fitting,
            "odd predictions": predictions, "annotations": number, "odd answers": errors}  # fmt: skip
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
