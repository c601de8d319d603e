"""Every jar the store needs: fetched by Ivy, checked against committed hashes, unpacked, compiled.

Ivy comes with the pyspark wheel, so a machine needs no Maven; the compiler is a jar too, so it
needs no JDK either.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyspark

from smartshelf.errors import SmartShelfError
from smartshelf.stack import java, progress
from smartshelf.stack.java import Java
from smartshelf.stack.layout import CONF, Layout

IVY_FILE, LOCK, SOURCES = CONF / "ivy.xml", CONF / "jars.sha256", CONF / "java"
PYSPARK_JARS = Path(pyspark.__file__).parent / "jars"

#: Drivers of other databases, and libraries that the Connect worker has already: 32 of 61 MB.
_SINK_BALLAST = (
    "ojdbc", "mysql", "mssql", "mariadb", "kafka-clients", "zstd", "snappy", "lz4", "connect-api", "slf4j-api",
    "jakarta.ws.rs",
)  # fmt: skip

_SERVICE_FILE = "META-INF/services/org.apache.kafka.connect.sink.SinkConnector"


def ensure(layout: Layout, runtime: Java) -> None:
    """Fill the jars folder unless it already holds exactly what the committed files ask for."""
    stamp = layout.jars / "stamp"
    if stamp.is_file() and stamp.read_text() == fingerprint():
        return
    draft = _download(layout, runtime)
    _verify(draft)
    _unpack_plugins(draft)
    _compile(draft, runtime)
    shutil.rmtree(draft / "build")
    (draft / "stamp").write_text(fingerprint())
    shutil.rmtree(layout.jars, ignore_errors=True)
    draft.rename(layout.jars)
    progress.say("jars are ready")


def relock(layout: Layout, runtime: Java) -> None:
    """Fetch anew and write the hashes of what came: for whoever changes ``ivy.xml``."""
    draft = _download(layout, runtime)
    LOCK.write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(hashes(draft).items())))
    shutil.rmtree(draft)


def fingerprint() -> str:
    """Changes with anything that the content of the jars folder follows from."""
    digest = hashlib.sha256()
    for source in (IVY_FILE, LOCK, *sorted(SOURCES.rglob("*.java"))):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below ``folder`` by its relative name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def read_lock(text: str) -> dict[str, str]:
    """The lines of ``jars.sha256`` as {relative name: hash}."""
    pairs = (line.split(maxsplit=1) for line in text.splitlines() if line.strip())
    return {name: digest for digest, name in pairs}


def compare(expected: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """What differs between the lock and the files, a line each; empty when they are the same."""
    wrong = [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
    wrong += [f"{name} is not in the lock" for name in sorted(found.keys() - expected.keys())]
    wrong += [f"{name} has another hash" for name in sorted(expected.keys() & found) if expected[name] != found[name]]
    return wrong


def class_path(*folders: Path) -> str:
    """A class path of all jars in these folders; the JVM expands the wildcard."""
    return os.pathsep.join(f"{folder}/*" for folder in folders)


def _download(layout: Layout, runtime: Java) -> Path:
    # Kept until the download is complete, so that an interrupted first start goes on where it was.
    cache = layout.packages / "ivy-cache"
    layout.jars.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix="jars.new.", dir=layout.jars.parent))
    draft.chmod(0o755)
    ivy = next(PYSPARK_JARS.glob("ivy-*.jar"))
    command = [str(runtime.binary), "-Xmx256m", *java.download_flags(layout), "-cp", str(ivy), "org.apache.ivy.Main"]
    command += ["-warn", "-ivy", str(IVY_FILE), "-cache", str(cache)]
    command += ["-retrieve", f"{draft}/[conf]/[artifact]-[revision](-[classifier]).[ext]"]
    progress.say("fetching the jars of Kafka, Connect and Spark (about 140 MB, once)")
    with _told_every(10, lambda: f"fetching jars: {_megabytes(cache):.0f} MB so far"):
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode or not list(draft.rglob("*.jar")):
        shutil.rmtree(draft)
        raise SmartShelfError(
            "Could not fetch the jars of Kafka and Spark",
            value=_ivy_reason(done.stdout + done.stderr),
            remedy="The first start needs the network (and https_proxy or SSL_CERT_FILE where a proxy stands between); "
            "run the command again to go on.",
        )
    shutil.rmtree(cache)
    return draft


def _ivy_reason(output: str) -> str:
    """The line of Ivy's pages of output that says why."""
    lines = [line.strip(" :\t") for line in output.splitlines()]
    telling = (
        "UnknownHost",
        "Host ",
        "No space left",
        "Connection",
        "timed out",
        "SSL",
        "UNRESOLVED",
        "not found",
        "FAILED",
    )
    return next((line for mark in telling for line in lines if mark in line), (lines or ["nothing said"])[-1])[:300]


def _verify(folder: Path) -> None:
    if wrong := compare(read_lock(LOCK.read_text()), hashes(folder)):
        shutil.rmtree(folder)
        raise SmartShelfError(
            "The downloaded jars are not the ones that conf/jars.sha256 pins",
            value="; ".join(wrong[:5]),
            remedy="Try again; if it stays so, the repository that answered is not to be trusted.",
        )


def _unpack_plugins(folder: Path) -> None:
    for configuration in ("sink", "source"):
        (archive,) = (folder / configuration).glob("*.tar.gz")
        with tarfile.open(archive) as opened:
            for member in opened.getmembers():
                if member.isfile() and member.name.endswith(".jar") and ".." not in member.name:
                    member.name = Path(member.name).name
                    opened.extract(member, folder / "plugins" / configuration, set_attrs=False)
        shutil.rmtree(folder / configuration)
    for jar in (folder / "plugins" / "sink").iterdir():
        if jar.name.startswith(_SINK_BALLAST):
            jar.unlink()


def _compile(folder: Path, runtime: Java) -> None:
    """Compile ``conf/java`` into a jar beside the classes it extends."""
    (compiler,) = (folder / "build").glob("ecj-*.jar")
    plugins = folder / "plugins"
    _build_jar(runtime, compiler, "smartshelf/fs", [PYSPARK_JARS], folder / "spark" / "smartshelf-fs.jar", services={})
    _build_jar(
        runtime,
        compiler,
        "smartshelf/connect",
        [folder / "kafka", plugins / "sink"],
        plugins / "sink" / "smartshelf-connect.jar",
        services={_SERVICE_FILE: "smartshelf.connect.DlqJdbcSinkConnector\n"},
    )


def _build_jar(
    runtime: Java, compiler: Path, package: str, uses: Iterable[Path], target: Path, services: Mapping[str, str]
) -> None:
    with tempfile.TemporaryDirectory() as classes:
        # The compiler does not expand wildcards as the JVM does.
        path = os.pathsep.join(str(jar) for folder in uses for jar in sorted(folder.glob("*.jar")))
        sources = [str(source) for source in sorted((SOURCES / package).glob("*.java"))]
        command = [str(runtime.binary), "-jar", str(compiler), "-17", "-nowarn", "-cp", path, "-d", classes, *sources]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SmartShelfError(f"Could not compile conf/java/{package}", value=(done.stdout + done.stderr)[-2000:])
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as jar:
            for name, text in services.items():
                jar.writestr(name, text)
            for compiled in sorted(Path(classes).rglob("*.class")):
                jar.write(compiled, str(compiled.relative_to(classes)))


def _megabytes(folder: Path) -> float:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # Ivy renames its .part files
            continue
    return total / 1e6


@contextmanager
def _told_every(seconds: float, text: Callable[[], str]) -> Iterator[None]:
    """Say ``text()`` every so many seconds while the block runs."""
    over = threading.Event()

    def tell() -> None:
        while not over.wait(seconds):
            progress.say(text())

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()
