"""Validates a folder of `dokja ledger export` with the libraries of those who made the formats.
usage: attest_documents.py FOLDER WHAT; prints one line, exit 0 when it is good."""
import json
import logging
import sys

folder, what = sys.argv[1:]


def cyclonedx():
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(f"{folder}/cyclonedx.json").read())
    return str(wrong)[:300] if wrong else None


def croissant():
    logging.disable(logging.CRITICAL)
    import mlcroissant
    issues = mlcroissant.Dataset(f"{folder}/croissant.json").metadata.ctx.issues
    return "; ".join(map(str, [*issues.errors, *issues.warnings]))[:300] or None


def statement():
    from google.protobuf import json_format
    from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
    from in_toto_attestation.v1 import statement, statement_pb2
    text = open(f"{folder}/slsa.json").read()
    statement.Statement.copy_from_pb(json_format.Parse(text, statement_pb2.Statement())).validate()
    json_format.ParseDict(json.loads(text)["predicate"], provenance_pb2.Provenance())


try:
    wrong = {"cyclonedx": cyclonedx, "croissant": croissant, "statement": statement}[what]()
except Exception as e:  # whatever a library raises is its verdict
    wrong = f"{type(e).__name__}: {e}"
print(wrong or "good")
sys.exit(bool(wrong))
