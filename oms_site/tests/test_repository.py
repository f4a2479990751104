"""What the repository itself promises: locked requirements, no address of a package registry, no path of somebody's machine, and a table of
settings and dependencies in the README that is whole.
"""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from oms_site.tests.desk import ROOT, manage

LOCKS = ("requirements.txt", "requirements-dev.txt")
# Written in pieces: this file is searched, too.
FOREIGN = [
    re.compile(pattern)
    for pattern in (
        "py" + r"pi\.(org|python)",
        "files" + r"\.pythonhosted",
        "registry" + r"\.(npmjs|yarnpkg)",
        "/" + r"(root|home/\w+|Users/\w+|work|opt)/",
        "/" + r"tmp/\w",
    )
]


def tracked() -> list[Path]:
    """The files of the repository; in a copy without its history, all of them."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    names = done.stdout.splitlines() if done.returncode == 0 else []
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def required(lock: str) -> dict[str, list[str]]:
    """The pinned requirements of a lock, each with its hashes."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / lock).read_text())
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    return {line.split(" ")[0]: re.findall(r"--hash=sha256:[0-9a-f]{64}", line) for line in lines}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_pinned_with_its_hashes(lock: str) -> None:
    found = required(lock)
    assert len(found) > 20
    assert [name for name, hashes in found.items() if not hashes or not re.fullmatch(r"[\w.\[\],-]+==[\w.]+", name)] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_no_requirement_names_a_place(lock: str) -> None:
    assert "://" not in (ROOT / lock).read_text()
    assert not re.search(r"^\s*(-i|-f|--index-url|--extra-index-url|--find-links)", (ROOT / lock).read_text(), re.MULTILINE)


def test_the_locks_cover_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[\[<>=!~; ]", name, maxsplit=1)[0].lower().replace("_", "-") for name in requirements}

    run = names(list(required("requirements.txt")))
    dev = names(list(required("requirements-dev.txt")))
    assert names(project["project"]["dependencies"]) <= run <= dev
    assert names(project["dependency-groups"]["dev"]) <= dev - run


def test_both_locks_pin_the_same_versions() -> None:
    assert set(required("requirements.txt")) <= set(required("requirements-dev.txt"))


def test_no_file_names_a_registry_or_somebodys_machine() -> None:
    if not (files := tracked()):
        pytest.skip("this copy has no git history to list its files by")
    found = []
    for path in files:
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue  # a picture
        found += [f"{path.relative_to(ROOT)}: {hit[0]}" for pattern in FOREIGN for hit in pattern.finditer(text)]
    assert not found, "\n".join(found)


def test_the_readme_has_every_variable_and_every_dependency() -> None:
    readme = (ROOT / "README.md").read_text()
    settings = (ROOT / "oms_site" / "settings.py").read_text()
    variables = set(re.findall(r'(?:text|flag|whole|items|origins|live_accounts)\("([A-Z_]+)"', settings))
    assert len(variables) >= 10
    assert [name for name in sorted(variables) if f"`{name}`" not in readme] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [
        re.split(r"[\[<>=!~; ]", name, maxsplit=1)[0] for name in project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    ]
    assert [name for name in wanted if name.lower() not in readme.lower()] == []


def test_every_change_of_the_tables_has_its_migration(tmp_path: Path) -> None:
    done = manage(tmp_path / "data", "makemigrations", "--check", "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_settings_of_a_public_desk_pass_the_deployment_checks(tmp_path: Path) -> None:
    """TLS ends in front of the desk, so the redirect to it and the promise of it (W004, W008) are that server's."""
    done = manage(tmp_path / "data", "check", "--deploy", "--fail-level", "WARNING", DESKBOOK_URL="https://desk.example.com")
    assert set(re.findall(r"security\.W\d+", done.stdout + done.stderr)) <= {"security.W004", "security.W008"}, done.stderr
