"""Compares what the lab serves of Drive with Google's published description of it.

Reads {"surface": URL} from standard input: where the lab tells its table of methods, parameters and fields, the one that it routes
by. The description is the copy in google-api-python-client. Whatever the lab knows must be in the description as it is there;
of the methods that it serves, no parameter may be missing, and of the objects that it tells of, no field.
"""

import importlib.resources
import json
import sys
import urllib.request

wish = json.load(sys.stdin)
with urllib.request.urlopen(wish["surface"]) as answer:
    surface = json.load(answer)
document = json.loads(
    importlib.resources.files("googleapiclient.discovery_cache").joinpath("documents/drive.v3.json").read_text()
)
differences = []


def methods_of(resources):
    for resource in resources.values():
        for method in resource.get("methods", {}).values():
            yield method["id"], method
        yield from methods_of(resource.get("resources", {}))


published = dict(methods_of(document["resources"]))


def differ(text):
    differences.append(text)


def check_method(served):
    method = published.get(served["id"])
    if method is None:
        return differ(f"{served['id']} is no published method")
    for ours, theirs in [("http", "httpMethod"), ("path", "path")]:
        if served[ours] != method[theirs]:
            differ(f"{served['id']}: {ours} is {served[ours]}, published {method[theirs]}")
    parameters = {
        name: parameter for name, parameter in method.get("parameters", {}).items() if parameter["location"] == "query"
    }
    ours = {parameter["name"]: parameter for parameter in served["parameters"]}
    for name in sorted(ours.keys() - parameters.keys()):
        differ(f"{served['id']}: the parameter {name} is not published")
    for name in sorted(parameters.keys() - ours.keys()):
        differ(f"{served['id']}: the published parameter {name} is missing")
    for name in sorted(ours.keys() & parameters.keys()):
        check_parameter(served["id"], ours[name], parameters[name])
    response = method.get("response", {}).get("$ref")
    if served["response"] != response:
        differ(f"{served['id']}: answers {served['response']}, published {response}")
    prefix = "https://www.googleapis.com/auth/"
    scopes = sorted(scope.removeprefix(prefix) for scope in method["scopes"])
    if sorted(served["scopes"]) != scopes:
        differ(f"{served['id']}: scopes {sorted(served['scopes'])}, published {scopes}")


def check_parameter(method, ours, theirs):
    name = ours["name"]
    if ours["required"] != theirs.get("required", False):
        differ(f"{method}: required of {name} is {ours['required']}")
    kind = {"boolean": "flag", "integer": "number", "string": "text"}[theirs["type"]]
    if ours["kind"] != kind:
        differ(f"{method}: {name} is {ours['kind']}, published {kind}")
    if kind == "number" and "maximum" in theirs and ours["most"] != int(theirs["maximum"]):
        differ(f"{method}: {name} goes up to {ours['most']}, published {theirs['maximum']}")


def schema_of(name):
    """A schema, or the part of one: `File.capabilities`."""
    first, *parts = name.split(".")
    schema = document["schemas"].get(first)
    for part in parts:
        schema = (schema or {}).get("properties", {}).get(part)
        if schema is not None and schema.get("type") == "array":
            schema = schema["items"]
        if schema is not None and "$ref" in schema:
            schema = document["schemas"][schema["$ref"]]
    return schema


def check_schema(served):
    schema = schema_of(served["name"])
    if schema is None:
        return differ(f"{served['name']} is no published schema")
    theirs = schema.get("properties", {})
    ours = {field["name"]: field for field in served["fields"]}
    for name in sorted(ours.keys() - theirs.keys()):
        differ(f"{served['name']}: the field {name} is not published")
    for name in sorted(theirs.keys() - ours.keys()):
        differ(f"{served['name']}: the published field {name} is missing")
    for name in sorted(ours.keys() & theirs.keys()):
        if ours[name]["shape"] == "free":
            continue
        field = theirs[name]
        inner = field["items"] if field.get("type") == "array" else field
        is_object = "$ref" in inner or inner.get("type") == "object"
        if is_object != (ours[name]["shape"] == "object"):
            differ(f"{served['name']}: {name} is {ours[name]['shape']}")


if "/" + document["servicePath"] != surface["service_path"]:
    differ(f"the path is {surface['service_path']}, published /{document['servicePath']}")
for parameter in sorted(set(surface["common_parameters"]) ^ document["parameters"].keys()):
    differ(f"the common parameter {parameter} is on one side only")
for method in surface["methods"]:
    check_method(method)
for schema in surface["schemas"]:
    check_schema(schema)
json.dump(
    {
        "revision": document["revision"],
        "methods": len(surface["methods"]),
        "parameters": sum(len(method["parameters"]) for method in surface["methods"]),
        "schemas": len(surface["schemas"]),
        "fields": sum(len(schema["fields"]) for schema in surface["schemas"]),
        "differences": differences,
    },
    sys.stdout,
)
