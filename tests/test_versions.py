import sys

import tandv
from tandv.versions import PACKAGES, versions


def test_installed_packages_have_their_version_and_others_are_named(capsys):
    found = versions()
    assert found["tandv"] == tandv.__version__ and found["python"] == sys.version.split()[0]
    assert set(PACKAGES) <= set(found) and found["numpy"].count(".") == 2
    tandv.show_versions()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(found)
    assert all(len(line.split()) > 1 for line in lines)  # "-" for what is not installed
