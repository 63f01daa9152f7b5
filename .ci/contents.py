"""Hold what a wheel and a source archive contain against the repository: `contents.py FOLDER [TAG]`."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

folder, tag = Path(sys.argv[1]), sys.argv[2]
[wheel] = folder.glob("*.whl")
[source] = folder.glob("*.tar.gz")
version = wheel.name.split("-")[1]
if tag and tag != f"v{version}":
    sys.exit(f"the tag is {tag}, but the version in tandv/__init__.py and pyproject.toml is {version}")

tracked = subprocess.run(["git", "ls-files", "tandv"], capture_output=True, text=True, check=True).stdout.split("\n")
wanted = set(filter(None, tracked))
held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
problems = [f"the wheel lacks {name}" for name in sorted(wanted - held)]
problems += [f"the wheel has {name}, which is not in the repository" for name in sorted(held - wanted)]
with tarfile.open(source) as archive:
    names = {name.partition("/")[2] for name in archive.getnames()}
problems += [f"the source archive lacks {name}" for name in sorted((wanted | {"LICENSE", "README.md"}) - names)]
if problems:
    sys.exit("\n".join(problems))
print(f"{version}: the wheel holds the {len(held)} files of the package, and nothing else")
