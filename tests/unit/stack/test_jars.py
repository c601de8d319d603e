"""The lock of the jars and what is said when a download goes wrong."""

from xml.etree import ElementTree

from smartshelf.stack import jars, kafka


def test_a_folder_that_is_as_locked_has_no_differences():
    lock = jars.read_lock("aa  kafka/x.jar\nbb  spark/y.jar\n")
    assert lock == {"kafka/x.jar": "aa", "spark/y.jar": "bb"}
    assert jars.compare(lock, lock) == []


def test_a_missing_a_foreign_and_a_changed_jar_are_named():
    wrong = jars.compare({"a.jar": "1", "b.jar": "2"}, {"b.jar": "x", "c.jar": "3"})
    assert wrong == ["a.jar is missing", "c.jar is not in the lock", "b.jar has another hash"]


def test_hashes_are_those_of_the_files(tmp_path):
    (tmp_path / "k").mkdir()
    (tmp_path / "k" / "empty.jar").touch()
    assert jars.hashes(tmp_path) == {"k/empty.jar": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}


def test_every_locked_file_belongs_to_a_configuration_of_ivy():
    configurations = {entry.get("name") for entry in ElementTree.parse(jars.IVY_FILE).iter("conf")}
    lock = jars.read_lock(jars.LOCK.read_text())
    assert {name.split("/")[0] for name in lock} == configurations
    assert all(len(digest) == 64 for digest in lock.values())


def test_the_reason_is_found_in_pages_of_output():
    output = (
        ":: problems ::\n\tmodule not found: k\n\tHost repo.example not found. url=u\n:: UNRESOLVED DEPENDENCIES ::\n"
    )
    assert jars._ivy_reason(output) == "Host repo.example not found. url=u"


def test_a_cluster_id_is_sixteen_bytes_and_never_looks_like_an_option():
    names = {kafka.cluster_id() for _ in range(200)}
    assert len(names) == 200
    assert all(len(name) == 22 and not name.startswith("-") for name in names)
