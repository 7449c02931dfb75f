#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Completion in bash, zsh and fish: each shell completes lines as a user types them."""
import os
import pty
import select
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from native import LIMIT, LKVM, Skip, main  # noqa: E402

DOCS = os.path.realpath(os.path.join(os.path.dirname(__file__), '../../docs'))
folder = tempfile.mkdtemp(prefix='lkvm-completion-')

# What the shells find under the name: lkvm's own help, a command that takes a machine's name and machines that run; for any
# other command line the words that it got, so that what was completed can be read.
PROGRAM = f'''#!/bin/sh
case "$1 $2 $3" in
'help --words ') '{LKVM}' "$@"; printf 'halting\\tfor this test\\n' ;;
'help --words halting') printf '%s\\tflag\\t-\\tall of them\\n%s\\tvm\\t-\\tit\\n-\\tvm\\t-\\t-\\n' '-a --all' '-n --name' ;;
'help --words '*) exec '{LKVM}' "$@" ;;
'list  ') printf '    PID NAME       STATE\\n      7 alpha      running\\n    123 beta-2     paused\\n' ;;
*) printf 'words:'; printf '<%s>' "$@"; echo ':end' ;;
esac
'''

# The line, and what its last word may become: "X" alone stands for all, "X..." for at least these.
CASES = [
    ('lkvm ru', ['run']),
    ('lkvm help sel', ['selftest']),
    ('lkvm run --consol', ['--console']),
    ('lkvm run --con', ['--config', '--console']),
    ('lkvm run --console ', ['serial', 'virtio']),
    ('lkvm run --console=', ['--console=serial', '--console=virtio']),
    ('lkvm run --console=v', ['--console=virtio']),
    ('lkvm run --loglevel w', ['warning']),
    ('lkvm run --rng --halt e', ['end']),
    ('lkvm run -k ker', ['kernel.bin']),
    ('lkvm run --kernel=ker', ['--kernel=kernel.bin']),
    ('lkvm run -k a,', ['a,b.img']),
    ('lkvm run ker', ['kernel.bin']),
    ('lkvm run -d kernel.bin,fo', ['kernel.bin,format=']),
    ('lkvm run -d kernel.bin,ro,format=', ['kernel.bin,ro,format=qcow2', 'kernel.bin,ro,format=raw']),
    ('lkvm run --disk=kernel.bin,aio=th', ['--disk=kernel.bin,aio=threads']),
    ('lkvm run -n mode=tap,script=ker', ['mode=tap,script=kernel.bin']),
    ('lkvm run -n mode=vh', ['mode=vhost-user']),
    ('lkvm run -n rx-', ['rx-ops=', 'rx-rate=']),
    ('lkvm run --9p fol', ['folder/']),
    ('lkvm run --9p folder,tag,r', ['folder,tag,ro', 'folder,tag,rw']),
    ('lkvm run --vsock 3,so', ['3,socket=']),
    ('lkvm run --vmx +mb', ['+mbec']),
    ('lkvm run --vmx +ept,-mb', ['+ept,-mbec']),
    ('lkvm run --svm asids=4,re', ['asids=4,revision=']),
    ('lkvm run --cpu v', ['v2', 'v3', 'v4', 'vendor=']),
    ('lkvm run --cpu host,+kvmclock-o', ['host,+kvmclock-old']),
    ('lkvm run --cpu=min,-kvmclock-s', ['--cpu=min,-kvmclock-stable-bit']),
    ('lkvm run --cpu host,fami', ['host,family=']),
    ('lkvm selftest --virtio-transport m', ['mmio']),
    ('lkvm vfio unb', ['unbind']),
    ('lkvm vfio mdev cr', ['create']),
    ('lkvm halting al', ['alpha']),
    ('lkvm halting ', ['alpha', 'beta-2']),
    ('lkvm halting --a', ['--all']),
    ('lkvm halting --name be', ['beta-2']),
    ('lkvm halting -n ', ['alpha', 'beta-2']),
    ('lkvm run --cpus ', []),
    ('lkvm nonsense --x', []),
]


def setup():
    with open(f'{folder}/lkvm', 'w', encoding='utf-8') as f:
        f.write(PROGRAM)
    os.chmod(f'{folder}/lkvm', 0o755)
    os.makedirs(f'{folder}/work/folder')
    for name in 'kernel.bin', 'a,b.img':
        with open(f'{folder}/work/{name}', 'w', encoding='utf-8'):
            pass
    os.mkdir(f'{folder}/functions')
    shutil.copy(f'{DOCS}/lkvm.zsh', f'{folder}/functions/_lkvm')


def environment():
    keep = {k: v for k, v in os.environ.items() if k in ('LANG', 'LD_LIBRARY_PATH', 'ASAN_OPTIONS')}
    return {**keep, 'PATH': f'{folder}:{os.environ["PATH"]}', 'HOME': folder, 'TERM': 'dumb', 'ZDOTDIR': folder}


def in_terminal(argv, init):
    """The words that every line became, with Tab at its end inserting all that it may become."""
    child, master = pty.fork()
    if child == 0:
        os.chdir(f'{folder}/work')
        os.execvpe(argv[0], argv, environment())
    seen = b''

    def wait(marker):
        nonlocal seen
        while marker not in seen:
            ready, _, _ = select.select([master], [], [], LIMIT)
            assert ready, f'{argv[0]} shows nothing more; so far: {seen!r}'
            seen += os.read(master, 65536)
        before, _, seen = seen.partition(marker)
        return before

    results = []
    try:
        # What it shows of the line itself has the quotes.
        os.write(master, f"{init}; echo 'rea''dy'\n".encode())
        wait(b'ready')
        for line, _ in CASES:
            os.write(master, line.encode() + b'\t\n')
            wait(b'words:')
            text = wait(b':end').decode()
            results.append(text.strip('<>').split('><'))
    finally:
        os.kill(child, 9)
        os.close(master)
        os.waitpid(child, 0)
    return results


def strip(word, line):
    """What was completed: without what stood before it."""
    cur = line.split(' ')[-1]
    cut = max(cur.rfind('='), cur.rfind(',')) + 1
    return word[cut:] if cut and word.startswith(cur[:cut]) else word


def check(shell, results):
    wrong = []
    for (line, wanted), got in zip(CASES, results):
        wanted = sorted(strip(w, line).rstrip('/') for w in wanted)
        got = sorted(strip(w, line).rstrip('/') for w in got)
        if wanted != got:
            wrong.append(f'{shell}: {line!r} becomes {got}, not {wanted}')
    assert not wrong and len(results) == len(CASES), '\n'.join(wrong)


def last_words(results):
    """The words from the last one of the line on; of a line that did not change, nothing."""
    out = []
    for (line, wanted), got in zip(CASES, results):
        typed = line.split(' ')[1:]
        rest = got[len(typed) - 1:]
        out.append([] if rest in ([typed[-1]], []) and not wanted else rest)
    return out


def need(shell):
    if not shutil.which(shell):
        raise Skip(f'{shell} is not installed')


def test_bash():
    need('bash')
    check('bash', last_words(in_terminal(
        ['bash', '--noprofile', '--norc', '-i'],
        f'source {DOCS}/lkvm.bash; bind \'"\\t": insert-completions\'')))


def test_zsh():
    need('zsh')
    check('zsh', last_words(in_terminal(
        ['zsh', '-f', '-i'],
        f'fpath=({folder}/functions $fpath); autoload -U compinit; compinit -D -u; unsetopt automenu beep; '
        "zstyle ':completion:*' completer _all_matches _complete; zstyle ':completion:*' insert true")))


def test_fish():
    need('fish')
    script = f'source {DOCS}/lkvm.fish\n' + ''.join(
        f"echo =====\ncomplete -C '{line}'\n" for line, _ in CASES)
    shown = subprocess.run(['fish', '--no-config', '-c', script], cwd=f'{folder}/work', env=environment(),
                           stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT, check=True)
    assert not shown.stderr, shown.stderr.decode()
    parts = shown.stdout.decode().split('=====\n')[1:]
    check('fish', [[w.split('\t')[0] for w in part.splitlines()] for part in parts])


def test_machines():
    for command in 'stop', 'pause', 'resume', 'stat', 'balloon', 'debug', 'ctl':
        shown = subprocess.run([LKVM, 'help', '--words', command], capture_output=True, text=True, timeout=LIMIT,
                               check=True).stdout.splitlines()
        assert shown[-1].split('\t')[:2] == ['-', 'vm'], f'{command}: {shown}'
        for line in shown:
            assert not line.startswith('-n --name') or line.split('\t')[1] == 'vm', line


setup()
try:
    main([('bash completes commands, options, values, files and machines', test_bash),
          ('zsh does', test_zsh), ('fish does', test_fish),
          ('commands about machines say so', test_machines)])
finally:
    shutil.rmtree(folder, ignore_errors=True)
