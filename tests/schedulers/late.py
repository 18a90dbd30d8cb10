"""Shows a command a folder as a machine of a cluster may see it: what other machines do there is seen late.

    unshare -m python3 late.py SECONDS FOLDER COMMAND...

A name that another process makes in FOLDER, and bytes that it appends, are seen SECONDS later by COMMAND and by what
COMMAND starts. What these do themselves is seen at once, also by others. Locks reach everybody. All that is there at the
start is seen. COMMAND has a boot id of its own, by which flow tells machines apart. This needs `pip install mfusepy`,
/dev/fuse and the right to mount, within a namespace of mounts that `unshare -m` makes.
"""

import ctypes
import errno
import fcntl
import os
import signal
import struct
import sys
import tempfile
import threading
import time
import uuid

from mfusepy import FUSE, FuseOSError, Operations

# How often the folder is looked at, in seconds.
LOOK = 0.2
# Files to which several handles append. The flags of a file that is made do not reach `create`.
APPENDED = (".seg", ".jsonl", ".out")
# The commands for locks that belong to an open file and not to a process, since one process serves all.
LOCKS = {fcntl.F_GETLK: 36, fcntl.F_SETLK: 37, fcntl.F_SETLKW: 38}
LOCK = "hhqqi4x"
BOOT_ID = b"/proc/sys/kernel/random/boot_id"
LIBC = ctypes.CDLL(None, use_errno=True)


class Late(Operations):
    use_ns = True

    def __init__(self, folder, delay):
        # The mount covers the folder, but not what is open.
        self.folder = f"/proc/self/fd/{os.open(folder, os.O_RDONLY)}"
        self.delay = delay
        # By path and inode, since when a file is there, and which sizes it had since when.
        self.there, self.sizes = {}, {}
        # What was made here, by path, and how far it was written here.
        self.own, self.written = {}, {}

    def init(self, path):
        self.look(time.monotonic() - self.delay)
        threading.Thread(target=self.look_on, daemon=True).start()

    def look_on(self):
        while True:
            time.sleep(LOOK)
            self.look(time.monotonic())

    def look(self, now):
        there, sizes = {}, {}
        for entry in self.walk(self.folder):
            try:
                stat = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            key = entry.path, stat.st_ino
            there[key] = self.there.get(key, now)
            known = self.sizes.get(key, [])
            if not known or known[-1][1] != stat.st_size:
                known = [*known, (now, stat.st_size)]
            sizes[key] = known
        self.there, self.sizes = there, sizes

    def walk(self, folder):
        """All entries below a folder. No link is followed, since it may lead to the mount, which this serves."""
        try:
            entries = list(os.scandir(folder))
        except OSError:
            return
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from self.walk(entry.path)

    def at(self, path):
        return self.folder + path

    def seen(self, path):
        """The stat of a file with the size that is seen, or the error that there is none."""
        full = self.at(path)
        stat = os.lstat(full)
        key, horizon = (full, stat.st_ino), time.monotonic() - self.delay
        if path == "/" or self.own.get(full) == stat.st_ino:
            return stat, stat.st_size
        if self.there.get(key, float("inf")) > horizon:
            raise FuseOSError(errno.ENOENT)
        sizes = self.sizes.get(key, [(0, stat.st_size)])
        size = next((size for since, size in reversed(sizes) if since <= horizon), sizes[0][1])
        return stat, min(max(size, self.written.get(key, 0)), stat.st_size)

    def mine(self, path):
        self.own[self.at(path)] = os.lstat(self.at(path)).st_ino

    def make(self, path, make):
        try:
            make()
        finally:
            # Whoever is told that a name is taken has asked the server, and sees it from then on.
            if os.path.lexists(self.at(path)):
                self.mine(path)
        return 0

    def getattr(self, path, fh=None):
        stat, size = self.seen(path)
        names = ("st_mode", "st_nlink", "st_uid", "st_gid", "st_ino", "st_blocks")
        times = {name: getattr(stat, f"{name}_ns") for name in ("st_atime", "st_mtime", "st_ctime")}
        return {name: getattr(stat, name) for name in names} | times | {"st_size": size}

    def readdir(self, path, fh):
        self.seen(path)
        yield from (".", "..")
        for name in os.listdir(self.at(path)):
            try:
                self.seen(f"{path.rstrip('/')}/{name}")
                yield name
            except OSError:
                pass

    def mkdir(self, path, mode):
        return self.make(path, lambda: os.mkdir(self.at(path), mode))

    def symlink(self, target, source):
        return self.make(target, lambda: os.symlink(source, self.at(target)))

    def link(self, target, source):
        return self.make(target, lambda: os.link(self.at(source), self.at(target), follow_symlinks=False))

    def create(self, path, mode, fi=None):
        flags = os.O_RDWR | os.O_CREAT | (os.O_APPEND if path.endswith(APPENDED) else 0)
        handle = os.open(self.at(path), flags, mode)
        self.mine(path)
        return handle

    def open(self, path, flags):
        self.seen(path)
        return os.open(self.at(path), flags & ~(os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW))

    def read(self, path, size, offset, fh):
        try:
            size = max(0, min(size, self.seen(path)[1] - offset))
        except OSError:
            pass  # It was removed and is still open.
        return os.pread(fh, size, offset)

    def write(self, path, data, offset, fh):
        appends = fcntl.fcntl(fh, fcntl.F_GETFL) & os.O_APPEND
        count = os.write(fh, data) if appends else os.pwrite(fh, data, offset)
        stat = os.fstat(fh)
        self.written[self.at(path), stat.st_ino] = stat.st_size
        return count

    def rename(self, old, new):
        self.seen(old)
        os.rename(self.at(old), self.at(new))
        before, after = self.at(old), self.at(new)
        for path in [path for path in self.own if path.startswith(f"{before}/")]:
            self.own[after + path[len(before):]] = self.own.pop(path)
        self.own.pop(before, None)
        self.mine(new)

    def lock(self, path, fh, cmd, lock):
        wanted = lock.contents
        fields = wanted.l_type, wanted.l_whence, wanted.l_start, wanted.l_len, 0
        try:
            found = fcntl.fcntl(fh, LOCKS[cmd], struct.pack(LOCK, *fields))
        except OSError as error:
            return -error.errno
        if cmd == fcntl.F_GETLK:
            found = struct.unpack(LOCK, found)
            wanted.l_type, wanted.l_whence, wanted.l_start, wanted.l_len, wanted.l_pid = found
        return 0

    def truncate(self, path, length, fh=None):
        os.truncate(self.at(path) if fh is None else fh, length)

    def utimens(self, path, times=None):
        os.utime(self.at(path), ns=times, follow_symlinks=False)

    def statfs(self, path):
        stat = os.statvfs(self.at(path))
        return {name: getattr(stat, name) for name in dir(stat) if name.startswith("f_") and name != "f_fsid"}

    def release(self, path, fh):
        os.close(fh)
        return 0

    def access(self, path, amode):
        self.seen(path)
        return 0

    def readlink(self, path):
        self.seen(path)
        return os.readlink(self.at(path))

    def unlink(self, path):
        os.unlink(self.at(path))

    def rmdir(self, path):
        os.rmdir(self.at(path))

    def chmod(self, path, mode):
        os.chmod(self.at(path), mode)

    def chown(self, path, uid, gid):
        os.lchown(self.at(path), uid, gid)

    def flush(self, path, fh):
        return 0

    def fsync(self, path, datasync, fh):
        return 0

    def fsyncdir(self, path, datasync, fh):
        return 0


def be_a_machine():
    """Puts another file in the place of the boot id."""
    bind = 4096
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(f"{uuid.uuid4()}\n")
        file.flush()
        if LIBC.mount(file.name.encode(), BOOT_ID, None, bind, None) != 0:
            sys.exit(f"{BOOT_ID.decode()}: {os.strerror(ctypes.get_errno())}")


def main():
    delay, folder, command = float(sys.argv[1]), os.path.realpath(sys.argv[2]), sys.argv[3:]
    here = os.getcwd()
    be_a_machine()
    server = os.fork()
    if server == 0:
        # It ends with the command.
        LIBC.prctl(1, signal.SIGKILL)
        os.setsid()
        never = {"attr_timeout": 0, "entry_timeout": 0, "negative_timeout": 0}
        FUSE(Late(folder, delay), folder, foreground=True, allow_other=True, **never)
        sys.exit()
    while not os.path.ismount(folder):
        if os.waitpid(server, os.WNOHANG) != (0, 0):
            sys.exit(f"{folder} cannot be mounted")
        time.sleep(0.05)
    os.chdir(here)
    os.execvp(command[0], command)


main()
