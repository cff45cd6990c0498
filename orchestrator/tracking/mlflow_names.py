"""Names and values that MLflow accepts: restricted characters and lengths, unambiguous paths."""

import re
from hashlib import sha256

MAX_NAME = 250
MAX_PARAM = 6000
MAX_TAG = 8000


def accepted_name(name: str) -> str:
    """The name if MLflow accepts it for a metric, param or tag; else the nearest valid name with a digest."""
    cleaned = re.sub(r"[^/\w.\- :]", "_", name)
    parts = [part for part in cleaned.split("/") if part not in ("", ".", "..")]
    cleaned = "/".join(parts).lstrip(".") or "_"
    return name if cleaned == name and len(name) <= MAX_NAME else _marked(cleaned, name)


def accepted_path(path: str) -> str:
    """The same for an artifact, keeping its suffix, which the UI needs to display it."""
    parts = re.fullmatch(r"(.*?)((?:\.\w{1,5})?)", path, re.DOTALL)
    assert parts is not None
    return accepted_name(parts[1]) + parts[2]


def accepted_value(value: str, limit: int) -> str:
    """The value as a database accepts it: without lone surrogates and NUL characters, and not too long."""
    encodable = value.encode("utf-8", "replace").decode("utf-8")
    return shortened(encodable.replace("\0", "?"), limit)


def shortened(value: str, limit: int) -> str:
    """The value, or its beginning and an ellipsis."""
    return value if len(value) <= limit else value[: limit - 1] + "…"


def _marked(cleaned: str, name: str) -> str:
    return f"{cleaned[: MAX_NAME - 9]}-{sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
