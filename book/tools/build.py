"""Build the HTML of the book from the stored outputs, with every warning an error.

python book/tools/build.py [OUTPUT_FOLDER]
"""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def build(output=ROOT) -> Path:
    """Build into ``output/_build/html``; returns the path of the first page. Raises CalledProcessError."""
    command = [
        sys.executable,
        "-c",
        "from jupyter_book.cli.main import main; main()",
        "build",
        str(ROOT),
    ]
    command += ["--path-output", str(output)]
    command += ["--all", "-W", "-n", "--keep-going", "--quiet"]
    subprocess.run(command, cwd=ROOT, check=True)
    return Path(output, "_build", "html", "index.html")


def main(argv) -> int:
    started = time.monotonic()
    print("Building the book ...", flush=True)
    try:
        page = build(*argv)
    except subprocess.CalledProcessError as error:
        print("The book was not built: see the warnings above.", file=sys.stderr)
        return error.returncode
    print(f"Built in {time.monotonic() - started:.0f} s. The book is at {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
