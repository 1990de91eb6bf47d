"""Follows docs/deploy.md and the Dockerfile in bare Debian systems, and prints every command.

`python -m tests.deploy_check` takes about ten minutes, so it is not part of `make test`. It needs
root, Debian's packages debootstrap and systemd-container, and the ports 80, 443 and 5000.

- `server`: systemd runs in a container, in which the commands of the page are executed. Only
  certbot is replaced by a certificate that is signed with its own key, because no authority of the
  internet could reach this machine.
- `image`: the instructions of deploy/Dockerfile are executed in a folder, without Docker.

Where the packages come from is what apt and pip use on this machine.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import ROOT, free_port, wait_until

PAGE = (ROOT / "docs" / "deploy.md").read_text()
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
PROGRAMS = {"debootstrap": "debootstrap", "systemd-nspawn": "systemd-container"}
RELEASE = "bookworm"  # of the image debian:12-slim
BOOTED = ("systemd", "systemd-sysv", "dbus")
STOP_SECONDS = 10.0  # what `docker stop` waits
TEN_MINUTES = 600.0
SYSTEM_FILES = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf")
SYSTEM_FOLDERS = ("/etc/apt", "/etc/ssl/certs", "/usr/share/keyrings", "/usr/local/share")


def say(text: str) -> None:
    """Print a line with the time."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()


def run(words: Sequence[str], **options: object) -> None:
    """Run a command. Raises CalledProcessError."""
    subprocess.run(words, check=True, **options)  # type: ignore[call-overload]  # passed on


# A bare Debian system in a folder


def make_system(folder: Path, packages: Sequence[str] = ()) -> None:
    """Install a minimal Debian in a folder, with what apt and pip of this machine are set to."""
    included = ",".join(["ca-certificates", *packages])
    options = ["--variant=minbase", f"--include={included}"]
    run(["debootstrap", *options, RELEASE, str(folder), mirror()], stdout=subprocess.DEVNULL)
    copy_settings(folder)


def copy_settings(folder: Path) -> None:
    """Let apt and pip in a system get their packages from where those of this machine do."""
    for name in SYSTEM_FOLDERS:
        if Path(name).is_dir():
            copy_folder(Path(name), folder / name.lstrip("/"))
    (folder / "etc/apt/sources.list").unlink(missing_ok=True)
    for name in [*SYSTEM_FILES, *files_of_pip()]:
        if Path(name).is_file():
            target = folder / name.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            shutil.copy(name, target)


def mirror() -> str:
    """Return the address from which apt gets the packages of the release."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(CODENAME) $(SITE)", "Created-By: Packages"],
        check=True,
        capture_output=True,
        text=True,
    )
    sites = [line.split()[1] for line in listed.stdout.splitlines() if line.split()[0] == RELEASE]
    assert sites, f"apt on this machine has no source for {RELEASE}"
    return sites[0]


def files_of_pip() -> list[str]:
    """Return the files that the settings of pip name, such as a certificate."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
    )
    return re.findall(r"'(/[^']+)'", listed.stdout)


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder over another one; what a link leads to is copied instead of the link."""
    target.mkdir(parents=True, exist_ok=True)
    run(
        ["cp", "-rL", "--remove-destination", f"{source}/.", str(target)], stderr=subprocess.DEVNULL
    )


def variables_of_pip() -> dict[str, str]:
    """Return the variables of this machine that pip and certificates need."""
    wanted = re.compile(
        r"PIP_.*|SSL_CERT_.*|REQUESTS_CA_BUNDLE|https?_proxy|no_proxy", re.IGNORECASE
    )
    return {name: value for name, value in os.environ.items() if wanted.fullmatch(name)}


# The server: the commands of the page, under systemd


class BootedSystem:
    """A Debian system in a folder, whose systemd has been started with systemd-nspawn."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._leader = 0

    @contextmanager
    def booted(self) -> Iterator["BootedSystem"]:
        """Start systemd, and power the system off in the end."""
        words = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot"]
        words += ["--console=pipe", f"--machine=confab{os.getpid()}", "-D", str(self.folder)]
        nspawn = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children")

            def is_running() -> bool:
                # The first child of systemd-nspawn is not systemd, and ends soon.
                self._leader = int((children.read_text().split() or ["0"])[-1])
                return self._leader != 0 and self._is_running()

            wait_until(is_running, 120, "systemd has started")
            yield self
        finally:
            self.sh("systemctl poweroff", is_checked=False)
            try:
                nspawn.wait(60)
            except subprocess.TimeoutExpired:
                nspawn.kill()
                nspawn.wait()

    def sh(self, script: str, is_checked: bool = True, **variables: str) -> str:
        """Run a script as root in the system; return what it prints."""
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
            **variables_of_pip(),
            **variables,
        }
        done = subprocess.run(
            ["nsenter", "-t", str(self._leader), "-a", "sh", "-ec", script],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if is_checked and done.returncode != 0:
            sys.stdout.write(done.stdout)
            sys.stdout.write(self.sh("journalctl --no-pager -n 60", is_checked=False))
            raise SystemExit(f"failed with status {done.returncode}:\n{script}")
        return done.stdout

    def _is_running(self) -> bool:
        state = self.sh("systemctl is-system-running", is_checked=False).strip()
        return state in ("running", "degraded")


def commands_under(heading: str) -> str:
    """Return the shell commands of a section of the page, up to the next heading."""
    found = re.search(rf"^#+ {heading}\n(.*?)(?=^#+ )", PAGE, re.MULTILINE | re.DOTALL)
    assert found, heading
    return "\n".join(re.findall(r"^```sh\n(.*?)^```", found[1], re.MULTILINE | re.DOTALL))


CERTBOT = """
live=/etc/letsencrypt/live/$DOMAIN
mkdir -p $live
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=$DOMAIN \\
    -addext subjectAltName=DNS:$DOMAIN -keyout $live/privkey.pem -out $live/fullchain.pem
RENEWED_LINEAGE=$live sh -c "{hook}"
"""
"""Makes what certbot makes, and runs the deploy hook as certbot does."""


def without_certbot(commands: str) -> str:
    """Return the commands with a certificate made here instead of certbot's."""

    def replace(found: re.Match[str]) -> str:
        hook = re.search(r"--deploy-hook (\"[^\"]+\"|\S+)", found[0])
        assert hook, "the certificate would not be used after its renewal"
        return CERTBOT.format(hook=hook[1].strip('"'))

    return re.sub(r"^certbot .*$", replace, commands, flags=re.MULTILINE)


@dataclass
class Step:
    """The commands of a section, and where the certificate is that clients then have to trust."""

    heading: str
    certificate: str
    before: str = ""


CADDY_ROOT = "/var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt"
OWN_CERTIFICATE = "/etc/letsencrypt/live/localhost/fullchain.pem"
PROXIES = (
    Step("Caddy", CADDY_ROOT),
    Step("nginx", OWN_CERTIFICATE, "systemctl disable --now caddy"),
    Step("HAProxy", OWN_CERTIFICATE, "systemctl disable --now nginx"),
)


def check_server(folder: Path) -> None:
    """Follow the page from a bare system to https with each proxy, and then its other sections."""
    say("Install a bare Debian with systemd")
    make_system(folder, BOOTED)
    run(["git", "clone", "--quiet", "--bare", str(ROOT), str(folder / "repository")])
    with BootedSystem(folder).booted() as system:
        begun = time.monotonic()
        page = commands_under("A Debian or Ubuntu server")
        page = re.sub("DOMAIN=.*", "DOMAIN=localhost", page)
        follow(system, re.sub("REPOSITORY=.*", "REPOSITORY=/repository", page))
        for step in PROXIES:
            if step.before:
                system.sh(step.before)
            follow(system, "cd /srv/confab\n" + without_certbot(commands_under(step.heading)))
            wait_for_https(system, step)
            if step.heading == "Caddy":
                seconds = time.monotonic() - begun
                say(f"https after {seconds:.0f} s")
                assert seconds < TEN_MINUTES
        check_service(system)
        follow(system, commands_under("Commands and backups"))
        follow(system, commands_under("Several workers"))
        wait_for_https(system, PROXIES[-1])
        follow(system, commands_under("Update"))
        wait_for_https(system, PROXIES[-1])
        check_service(system)
    say("server: passed")


def follow(system: BootedSystem, commands: str) -> None:
    """Run commands of the page, and print each with the time."""
    script = f"export DOMAIN=localhost\nPS4='+ $(date +%T) '\nset -x\n{commands}"
    for line in system.sh(script).splitlines():
        if line.startswith("+"):
            sys.stdout.write(f"    {line}\n")
    sys.stdout.flush()


def wait_for_https(system: BootedSystem, step: Step) -> None:
    """Wait until a page is served over https with a certificate that is trusted."""
    certificate = system.folder / step.certificate.lstrip("/")

    def is_served() -> bool:
        try:
            context = ssl.create_default_context(cafile=str(certificate))
            with urllib.request.urlopen(
                "https://localhost/kitchen/", context=context, timeout=5
            ) as response:
                cookie = str(response.headers["Set-Cookie"])
                return cookie.startswith("__Host-confab=")
        except (OSError, ssl.SSLError):
            return False

    wait_until(is_served, 60, f"https with {step.heading}")
    say(f"{step.heading}: https://localhost/kitchen/ is served")


def check_service(system: BootedSystem) -> None:
    """Check that the service runs, and that its reload and restart work."""
    assert "active" in system.sh("systemctl is-active confab")
    before = system.sh("systemctl show -p MainPID --value confab")
    system.sh("systemctl reload confab")
    assert before == system.sh("systemctl show -p MainPID --value confab")
    system.sh("systemctl restart confab")
    owner = system.sh("stat -c '%U %a' /var/lib/confab")
    assert owner.strip() == "confab 700", owner
    log = system.sh("journalctl -u confab --no-pager")
    assert "Traceback" not in log, log
    assert "Failed" not in log, log
    say("The service reloads and restarts; its data belongs to its user")


# The image: the instructions of the Dockerfile, without Docker


@dataclass
class Image:
    """What a stage of a Dockerfile has made: a file system, and how to run it."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    user: str = "root"
    work_folder: str = "/"
    health: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def words(self, command: Sequence[str], **variables_of_build: str) -> list[str]:
        """Return the words that run a command in this image as its user."""
        environment = variables_of_build | self.environment
        variables = [f"{name}={value}" for name, value in environment.items()]
        inner = (
            f"cd {self.work_folder} && exec env -i {shlex.join(variables)} {shlex.join(command)}"
        )
        return ["chroot", f"--userspec={self.user}", str(self.folder), "sh", "-c", inner]


class Builder:
    """Executes a Dockerfile of which every stage begins with the same bare system."""

    def __init__(self, base: Path, folder: Path) -> None:
        self._base = base
        self._folder = folder
        self._stages: dict[str, Image] = {}
        self.image = Image(base)

    def build(self, text: str) -> Image:
        """Execute all instructions; return the last stage."""
        joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
        for line in joined.splitlines():
            if line.strip():
                name, _, rest = line.strip().partition(" ")
                say(f"{name} {rest[:90]}")
                handler: Callable[[str], None] = getattr(self, f"_{name.lower()}")
                handler(rest)
        return self.image

    def _from(self, rest: str) -> None:
        assert rest.startswith("debian:12-slim"), rest
        name = rest.partition(" AS ")[2] or "last"
        folder = self._folder / name
        run(["cp", "-a", str(self._base), str(folder)])
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self.image = self._stages[name] = Image(folder, {"PATH": path})

    def _run(self, rest: str) -> None:
        words = self.image.words(["sh", "-ec", rest], **variables_of_pip())
        run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _copy(self, rest: str) -> None:
        *sources, target = rest.split()
        source_root = ROOT
        if sources[0].startswith("--from="):
            source_root = self._stages[sources.pop(0).removeprefix("--from=")].folder
        inside = Path(self.image.work_folder, target)
        destination = self.image.folder / str(inside).lstrip("/")
        destination.parent.mkdir(parents=True, exist_ok=True)
        for source in sources:
            path = source_root / source.lstrip("/")
            if path.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(path, destination, symlinks=True, ignore=ignored)
            else:
                shutil.copy(path, destination)

    def _workdir(self, rest: str) -> None:
        self.image.work_folder = rest
        (self.image.folder / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def _env(self, rest: str) -> None:
        self.image.environment |= dict(word.split("=", 1) for word in shlex.split(rest))

    def _user(self, rest: str) -> None:
        self.image.user = f"{rest}:{rest}"

    def _volume(self, rest: str) -> None:
        assert (self.image.folder / rest.lstrip("/")).is_dir()

    def _expose(self, rest: str) -> None:
        assert rest == self.image.environment["PORT"]

    def _healthcheck(self, rest: str) -> None:
        self.image.health = json.loads(rest.partition("CMD ")[2])

    def _cmd(self, rest: str) -> None:
        self.image.command = json.loads(rest)


def check_image(folder: Path) -> None:
    """Build the image; check that it becomes healthy, ends on TERM, and keeps its data."""
    base = folder / "base"
    say("Install a bare Debian")
    make_system(base)
    image = Builder(base, folder).build(DOCKERFILE)
    added = size(image.folder) - size(base)
    say(f"The image adds {added / 1e6:.0f} MB to debian:12-slim")
    image.environment["PORT"] = str(free_port())
    with mounted_proc(image.folder):
        check_container(image)
    say("image: passed")


@contextmanager
def mounted_proc(folder: Path) -> Iterator[None]:
    """Mount /proc in a system, as Docker does."""
    run(["mount", "-t", "proc", "proc", str(folder / "proc")])
    try:
        yield
    finally:
        run(["umount", "--lazy", str(folder / "proc")])


def check_container(image: Image) -> None:
    """Start the command of an image twice, with the same volume."""
    keys = []
    for _ in range(2):
        started = subprocess.Popen(image.words(image.command), start_new_session=True)
        try:
            wait_until(lambda: is_healthy(image), 120, "the image is healthy")
            uid = re.search(
                r"^Uid:\s+(\d+)", Path(f"/proc/{started.pid}/status").read_text(), re.MULTILINE
            )
            assert uid
            assert uid[1] != "0"
            started.send_signal(signal.SIGTERM)
            assert started.wait(STOP_SECONDS) == 0
        finally:
            if started.poll() is None:
                os.killpg(started.pid, signal.SIGKILL)
                started.wait()
        keys.append((image.folder / "data" / "secret_key").read_text())
    assert keys[0] == keys[1]


def is_healthy(image: Image) -> bool:
    """Return whether the health check of an image succeeds."""
    checked = subprocess.run(image.words(image.health), check=False, capture_output=True)
    return checked.returncode == 0


def size(folder: Path) -> int:
    """Return how many bytes the files in a folder take."""
    counted = subprocess.run(["du", "-sb", str(folder)], check=True, capture_output=True, text=True)
    return int(counted.stdout.split()[0])


CHECKS = {"image": check_image, "server": check_server}


def main() -> None:
    """Run the checks that the command names, by default all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checks", nargs="*", help=", ".join(CHECKS))
    names = parser.parse_args().checks or list(CHECKS)
    if os.geteuid() != 0:
        raise SystemExit("This needs root, to make file systems and to start systemd.")
    missing = [package for program, package in PROGRAMS.items() if not shutil.which(program)]
    if missing:
        raise SystemExit(f"This needs Debian's packages {' '.join(missing)}: install them.")
    for name in names:
        folder = Path(tempfile.mkdtemp(prefix="confab-deploy-"))
        folder.chmod(0o755)
        try:
            CHECKS[name](folder)
        finally:
            run(["rm", "-rf", "--one-file-system", str(folder)])


if __name__ == "__main__":
    main()
