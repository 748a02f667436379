"""Run every measurement, or those named, and write bench.json: one flat object of named figures.

    python -m bench                every module of this package, at full size
    python -m bench --small        the same, small
    python -m bench coverage embed only these

Figures of modules that were not run are kept from the bench.json that is there.
"""

import argparse
import importlib
import json
import pkgutil
from pathlib import Path

import bench


def main() -> None:
    """Parse, run, write."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="measure, and write bench.json")
    parser.add_argument("modules", nargs="*", help="which measurements; all of them by default")
    parser.add_argument("--small", action="store_true", help="small sizes, for a quick look")
    parser.add_argument("--out", type=Path, default=Path("bench.json"))
    arguments = parser.parse_args()
    known = sorted(m.name for m in pkgutil.iter_modules(bench.__path__) if not m.name.startswith("_"))
    unknown = set(arguments.modules) - set(known)
    if unknown:
        parser.error(f"no measurement named {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    figures = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    for name in arguments.modules or known:
        print(f"== {name}", flush=True)
        found = importlib.import_module(f"bench.{name}").run(full=not arguments.small)
        for key, value in found.items():
            print(f"{key}: {value if not isinstance(value, list | dict) else '(table)'}", flush=True)
        figures.update(found)
        arguments.out.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
