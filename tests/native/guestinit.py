# SPDX-License-Identifier: MIT
"""lkvm's init for Linux guests (guest/init) as process 1 of namespaces, which need no machine."""
import os
import subprocess
import tempfile

from native import LKVM, Skip

INIT = os.path.join(os.path.dirname(LKVM), 'init')
# As root, or as the root of a user's namespace.
FLAGS = next((flags for flags in ('-mpufni', '-rmpufni') if not subprocess.run(
    ['unshare', flags, 'sh', '-c', 'mount --rbind / /mnt'], capture_output=True, check=False).returncode), None)

# A number that is no descriptor there: a port would be looked for as long as a slow driver may take.
NO_LINK = 9999


class Space:
    """One that runs @command, linked by socket @link (or None). @conf: entries of init.conf; its root is this system's."""

    def __init__(self, command, link, modules='', **conf):
        if not FLAGS:
            raise Skip('no namespaces here')
        self.dir = tempfile.TemporaryDirectory()
        top = self.dir.name
        for name in 'lkvm', 'host', 'dev', 'proc', 'sys':
            os.mkdir(f'{top}/{name}')
        with open(INIT, 'rb') as f, open(f'{top}/init', 'wb') as to:
            to.write(f.read())
        os.chmod(f'{top}/init', 0o755)
        entries = {'root': 'bind', 'source': '/host', 'mode': 'overlay', 'link': link.fileno() if link else NO_LINK, **conf}
        self.write('init.conf', [f'{name}={one}' for name, value in entries.items()
                                 for one in (value if isinstance(value, list) else [value])])
        self.write('command', command)
        with open(f'{top}/lkvm/modules', 'w', encoding='ascii') as f:
            f.write(modules)
        # Devices cannot be mounted in a user's namespace: init takes those that it finds.
        mounts = f'mount --rbind / {top}/host && mount --rbind /dev {top}/dev'
        self.proc = subprocess.Popen(['unshare', FLAGS, '--kill-child', 'sh', '-c', f'{mounts} && exec unshare -R {top} /init'],
                                     pass_fds=[link.fileno()] if link else [], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def write(self, name, entries):
        with open(f'{self.dir.name}/lkvm/{name}', 'wb') as f:
            f.write(b''.join(os.fsencode(entry) + b'\0' for entry in entries))

    def close(self):
        """When its process has ended, and the mounts of its namespace with it."""
        self.dir.cleanup()
