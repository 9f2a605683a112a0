"""Let roc-validator judge a crate without a network: ``crate_verdict.py FOLDER CONTEXT.jsonld`` prints what is wrong.

The validator fetches the JSON-LD context of RO-Crate, its only request; the copy that the package rocrate ships is
handed to it instead.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import rdflib.plugins.parsers.jsonld as parser
import rdflib.plugins.shared.jsonld.context as shared
from rocrate_validator import models, services
from rocrate_validator.utils.http import HttpRequester

ADDRESS = "https://w3id.org/ro/crate/1.3/context"

folder, context = sys.argv[1], json.loads(Path(sys.argv[2]).read_text("utf-8"))
assert context["@id"] == ADDRESS
load = shared.source_to_json


def get(self: Any, url: str, **_: Any) -> Any:
    assert url == ADDRESS, f"asks for {url}"
    return SimpleNamespace(
        status_code=200,
        ok=True,
        json=lambda: context,
        text=json.dumps(context),
        content=b"",
        headers={"Content-Type": "application/ld+json"},
    )


def source(given: Any, *more: Any, **how: Any) -> Any:
    return (context, None) if given == ADDRESS else load(given, *more, **how)


HttpRequester.get = get
for module in (parser, shared):
    if hasattr(module, "source_to_json"):
        module.source_to_json = source
wanted = services.ValidationSettings(
    rocrate_uri=folder, profile_identifier="ro-crate-1.3", requirement_severity=models.Severity.REQUIRED
)
for issue in services.validate(wanted).get_issues():
    print(f"{issue.severity.name} {issue.check.identifier} {issue.message}")
print("judged")
