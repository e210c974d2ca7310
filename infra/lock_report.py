"""Turn pip's installation report, on standard input, into pinned requirements with hashes and no addresses."""

from __future__ import annotations

import json
import sys

print("# Made by `make lock` of requirements/catalogs.in.")
for item in json.load(sys.stdin)["install"]:
    name, version = item["metadata"]["name"], item["metadata"]["version"]
    print(f"{name}=={version} --hash=sha256:{item['download_info']['archive_info']['hashes']['sha256']}")
