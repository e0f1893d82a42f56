"""sftp://: hosts that are known and not, logins, links, trouble, and files that change."""

import os

import pytest

paramiko = pytest.importorskip("paramiko", reason="pip install 'xensave[sftp]'")
pytest.importorskip("fsspec")

from urllib.parse import quote

from tests.fleet.servers.ssh import PASSWORD, USER, Ssh
from xensave.errors import SourceError
from xensave.image import open_image
from xensave.image.input import Unreadable
from xensave.image.input import expand as given
from xensave.source import open_source
from xensave.source.remote import sftp
from xensave.source.remote.stores import expand


@pytest.fixture
def ssh(tmp_path, sample, monkeypatch):
    """A server of a folder with images; its host is known, and its user's name is configured."""
    folder, home = tmp_path / "served", tmp_path / "home/.ssh"
    (folder / "sub").mkdir(parents=True)
    home.mkdir(parents=True)
    (folder / "a.img").write_bytes(sample)
    (folder / "sub/b c#1?.img").write_bytes(sample[:2000])
    (folder / "sub/link.img").symlink_to(folder / "a.img")
    (folder / "sub/dead.img").symlink_to("nowhere")
    server = Ssh(folder)
    (home / "known_hosts").write_text(server.known)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("xensave.source.remote.patience.BACKOFF", 0.01)
    sftp.Hosts.clear_instance_cache()
    yield server
    sftp.Hosts.clear_instance_cache()
    server.close()


def address(ssh, path, password=PASSWORD):
    return f"sftp://{USER}:{quote(password, safe='')}@127.0.0.1:{ssh.port}{path}"


def test_a_glance_takes_few_reads(ssh, sample):
    with open_image(address(ssh, "/a.img"), glance=True) as image:
        assert image.guest == "hvm1"
        assert image.tally.unread
    assert sum(size for *_, size in ssh.trouble.requests) < 1 << 20
    assert ssh.logins == 1


def test_patterns_name_files_and_follow_links(ssh, sample):
    found = {each.address: each.size for each in expand(address(ssh, "/**/*.img"))}
    assert found == {
        address(ssh, "/a.img"): len(sample),
        address(ssh, "/sub/b c#1?.img"): 2000,
        address(ssh, "/sub/link.img"): len(sample),
    }
    names = [each.name for each in given([address(ssh, "/*.img")])]
    assert names == [address(ssh, "/a.img")]
    (wrong,) = given([address(ssh, "/*.none")])
    assert isinstance(wrong, Unreadable)


@pytest.mark.parametrize("act", ["fail", "drop"])
def test_trouble_costs_a_wait_not_the_answer(ssh, sample, act):
    with open_source(address(ssh, "/a.img")) as source:
        ssh.trouble.plan = [act]
        assert bytes(source.view(10_000_000, 50)) == sample[10_000_000:10_000_050]
        ssh.trouble.plan = ["", act]
        assert bytes(source.view(len(sample) - 50, 50)) == sample[-50:]


def test_an_answer_that_does_not_come_is_asked_for_again(ssh, sample, monkeypatch):
    with open_source(address(ssh, "/a.img")) as source:
        ssh.trouble.change = lambda: source._store._fs.ftp.get_channel().settimeout(0.1)
        ssh.trouble.plan = ["silent"]
        assert bytes(source.view(10_000_000, 50)) == sample[10_000_000:10_000_050]
        assert ssh.logins == 2


@pytest.mark.parametrize("change", ["longer", "later", "another"])
def test_a_file_that_changes_is_an_error(ssh, sample, change):
    path = ssh.folder / "a.img"

    def changed():
        if change == "longer":
            with path.open("ab") as file:
                file.write(b"x")
        elif change == "later":
            os.utime(path, (1, 1))
        else:
            other = path.with_name("other")
            other.write_bytes(sample[:-8] + b"otherend")
            os.utime(other, (1, 1))
            other.replace(path)

    with open_source(address(ssh, "/a.img")) as source:
        changed()
        with pytest.raises(SourceError, match="changed while it was read"):
            source.view(len(sample) - 100, 100)


def test_refusals_are_told_at_once(ssh, tmp_path, monkeypatch):
    with pytest.raises(SourceError, match="No such file"):
        open_source(address(ssh, "/none.img"))
    with pytest.raises(SourceError, match="is no object"):
        open_source(address(ssh, "/sub"))
    with pytest.raises(SourceError, match="Authentication failed"):
        open_source(address(ssh, "/a.img", "wrong"))
    assert ssh.logins == 1


def test_a_host_that_is_not_known_is_refused(ssh, tmp_path):
    known = tmp_path / "home/.ssh/known_hosts"
    known.write_text("")
    with pytest.raises(SourceError, match="not found in known_hosts"):
        open_source(address(ssh, "/a.img"))
    other = paramiko.ECDSAKey.generate()
    known.write_text(f"[127.0.0.1]:{ssh.port} {other.get_name()} {other.get_base64()}\n")
    with pytest.raises(SourceError, match="does not match"):
        open_source(address(ssh, "/a.img"))
    assert ssh.logins == 0


def test_names_of_hosts_are_those_of_sshs_configuration(ssh, tmp_path):
    (tmp_path / "home/.ssh/config").write_text(
        f"Host store\n  HostName 127.0.0.1\n  Port {ssh.port}\n  User {USER}\n"
    )
    with open_source(f"sftp://:{quote(PASSWORD, safe='')}@store/a.img") as source:
        assert source.size
