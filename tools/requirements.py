"""Print the requirements that pyproject.toml states: for `build`, or for an optional extra."""

import sys
import tomllib
from pathlib import Path


def main() -> None:
    """Print one requirement per line for each of the names on the command line."""
    text = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    project = tomllib.loads(text)
    groups: dict[str, list[str]] = {
        "build": project["build-system"]["requires"] + project["project"]["dependencies"],
        **project["project"]["optional-dependencies"],
    }
    for name in sys.argv[1:]:
        print("\n".join(groups[name]))


if __name__ == "__main__":
    main()
