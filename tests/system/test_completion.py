"""G4: bash completes commands, options, words and names, by what `webspaces completion bash` prints."""

import subprocess

import pytest
from host import WEBSPACES

DRIVER = """
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
$(complete -p webspaces | sed 's/.*-F \\([^ ]*\\).*/\\1/')
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """complete("status", "") → what bash would offer for the last word."""
    place = tmp_path_factory.mktemp("completion")
    script = place / "webspaces.bash"
    done = subprocess.run([WEBSPACES, "completion", "bash"], capture_output=True, text=True, check=True)
    script.write_text(done.stdout, encoding="utf-8")
    drops = place / "d"
    drops.mkdir()
    for name in ("alice.conf", "alan.conf", "bob.conf", ".hidden.conf", "notes.txt"):
        (drops / name).touch()
    config = place / "webspaces.conf"
    config.write_text(f'config_dir = "{drops}";', encoding="ascii")
    driver = place / "driver.bash"
    driver.write_text(DRIVER, encoding="ascii")

    def ask(*words, config_file=config):
        line = [WEBSPACES, *(["--config", str(config_file)] if config_file else []), *words]
        out = subprocess.run(["bash", str(driver), str(script), *line], capture_output=True, text=True, check=False, cwd=place)
        assert (out.returncode, out.stderr) == (0, ""), out
        return sorted(out.stdout.split())

    return ask


CASES = [
    (["st"], ["status"]),
    (["ro"], ["rollback"]),
    (["--v"], ["--version"]),
    (["status", "al"], ["alan", "alice"]),
    (["status", "--j"], ["--json"]),
    (["doctor", ""], ["--help", "--json", "alan", "alice", "bob"]),
    (["rollback", "--r"], ["--release"]),
    (["render", "alice", "p"], ["php"]),
    (["mounts", "alice", "un"], ["unbind"]),
    (["mounts", "alice", "clean", "--d"], ["--do"]),
    (["certs", "re"], ["renew", "revoke"]),
    (["certs", "renew", "b"], ["bob"]),
    (["options", "--s"], ["--sample"]),
    (["check", "webspaces.c"], ["webspaces.conf"]),
    (["nonsense", ""], []),
]


@pytest.mark.parametrize("words, offered", CASES, ids=[" ".join(case[0]) for case in CASES])
def test_bash_offers(complete, words, offered):
    assert complete(*words) == offered


def test_every_command_of_the_overview_is_offered_and_no_internal_one(complete):
    overview = subprocess.run([WEBSPACES, "--help"], capture_output=True, text=True, check=True).stdout
    commands = [line.split()[0] for line in overview.splitlines() if line.startswith("  ") and not line.startswith("  --")]
    assert complete("", config_file=None) == sorted([*commands, "--config", "--help", "--version"])
    assert "exec-php" not in commands and "doctor" in commands


def test_after_config_come_files(complete):
    assert complete("--config", "webspaces.c", config_file=None) == ["webspaces.conf"]
