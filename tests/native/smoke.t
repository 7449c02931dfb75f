#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`lkvm smoke`: every verdict and its status, what consoles may say, every report read by a real reader."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from native import LIMIT, LKVM, Skip, Vm, guest, main, same  # noqa: E402

tmp = tempfile.TemporaryDirectory()
CRASH = '[    1.234567] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)'


def path(name):
    return os.path.join(tmp.name, name)


def command(name, *args):
    words = guest(name, *args)
    words[1:4] = ['smoke']
    return words


def smoke(*args, name='say', limit=0, **more):
    """The status, standard output and standard error. No test has a limit of time but those that are to have one."""
    more = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE} | more
    done = subprocess.run(command(name, '--timeout', str(limit), *args), stdin=subprocess.DEVNULL, timeout=LIMIT, check=False,
                          **more)
    return done.returncode, done.stdout, (done.stderr or b'').decode(errors='replace')


def says(text, *args, **more):
    """The same of a guest that says that, and hangs if it is not told otherwise."""
    with open(path('text'), 'wb') as f:
        f.write(text if isinstance(text, bytes) else text.encode())
    words = [] if '-p' in args else ['-p', 'hang']
    return smoke('-i', path('text'), *words, *args, **more)


def verdict(want, text, *args, line=None, **more):
    got, out, err = says(text, *args, **more)
    assert got == want, (got, want, text[:200], args, out[:2000], err)
    if line:
        assert re.search(line, err), (line, err)
    return out, err


def passes():
    verdict(0, 'one\ntwo\n', '--expect', 'two', '--expect', '^one$', line="'two' was seen after [0-9.]+ s")
    verdict(0, 'Debian login: ', '--expect', 'login: *')  # a prompt: its line does not end
    verdict(0, 'a\r\r\nx\rb\r\n', '--expect', '^a$', '--expect', '^b$')
    verdict(0, 'o\033[1;31mn\033]0;a title\007e\033(B\0 two\n', '--expect', '^one two$')
    verdict(0, bytes(range(256)) * 3 + b'\n' + bytes(range(128, 256)) + b'\nend\n', '--expect', '^end$')
    verdict(0, 'no end of line', '-p', 'exit=0', '--expect', 'line$')
    verdict(0, 'a b a\n', '--expect', 'a', '--expect', 'b', '--in-order')
    verdict(0, 'b a\n', '--expect', 'a', '--expect', 'b')


def without_expect():
    same(smoke('-p', 'poweroff', name='exit')[0], 0)
    verdict(0, 'x\n', '-p', 'exit=0')
    verdict(1, 'x\n', '-p', 'exit=3', line='failed after [0-9.]+ s: the guest chose status 3')
    same(smoke('-p', 'reset', name='exit')[0], 1)
    same(smoke('-p', 'reset', '--no-reboot', name='exit')[0], 0)
    same(smoke('-p', 'panic', name='exit')[0], 1)
    same(smoke('-p', 'triple', name='exit')[0], 1)
    status, _, err = smoke('-p', 'halt', name='exit')
    assert status == 1 and 'halted for good' in err, err


def fails():
    out, _ = verdict(1, 'one\nnot ok 3 - the rest\nFAIL\n', '--fail', '^not ok', '--expect', 'never', '-p', 'exit=0',
                     line="failed after [0-9.]+ s: '\\^not ok' was seen: not ok")
    assert b'not ok 3 - the rest' in out, out  # its line is shown to its end
    # What is said of a line comes after it, where both go to the same terminal.
    out, _ = verdict(0, 'one two\nmore\n', '--expect', 'one', stderr=subprocess.STDOUT)
    assert out.startswith(b"one two\nlkvm: info: smoke: 'one' was seen"), out
    verdict(1, 'x\n', '-p', 'exit=0', '--expect', 'never', line="before 'never' was seen")
    verdict(1, 'b\na\n', '-p', 'exit=0', '--expect', 'a', '--expect', 'b', '--in-order', line="before 'b' was seen")
    # What comes first decides.
    verdict(0, 'good\nbad\n', '--expect', 'good', '--fail', 'bad')
    verdict(1, 'bad\ngood\n', '--expect', 'good', '--fail', 'bad')
    verdict(0, 'good, bad\n', '--expect', 'good', '--fail', 'bad')


def until_end():
    verdict(0, 'good\nmore\n', '--expect', 'good', '--until-end', '-p', 'exit=0')
    verdict(1, 'good\nbad\n', '--expect', 'good', '--until-end', '--fail', 'bad', '-p', 'exit=0')
    verdict(1, 'good\n', '--expect', 'good', '--until-end', '-p', 'exit=7')


def reboots():
    verdict(1, 'boot\n', '-p', 'reboot', '--expect', 'never', line='asked for a reset .see --may-reboot')
    # It comes to it only in the second boot, since each counts once.
    verdict(0, 'first\nsecond\n', '-p', 'reboot', '--may-reboot', '--in-order', '--expect', 'second', '--expect', 'first')
    verdict(2, '', '--may-reboot', '--no-reboot')


def times_out():
    verdict(124, 'x\n', '--expect', 'never', limit=1, line="timeout after [0-9.]+ s: 'never' was not seen within 1 s")
    verdict(124, 'x\n', limit=1, line='the guest did not end within 1 s')
    verdict(124, 'good\n', '--expect', 'good', '--until-end', limit=1)


def crashes():
    for line in (CRASH, 'BUG: unable to handle page fault for address: ffff', '[ 1.0][  T1] kernel BUG at mm/slub.c:1!',
                 'Oops: 0002 [#1] PREEMPT SMP', 'Oops: general protection fault, probably for non-canonical address: 0000 [#1]',
                 '[    0.1] general protection fault: 0000 [#1] SMP', 'Oops [#1]',
                 'Internal error: Oops: 0000000096000004 [#1] PREEMPT SMP', 'Internal error: synchronous external abort: 96000010',
                 '[ 2.0] Unable to handle kernel NULL pointer dereference at virtual address 0000000000000000',
                 'watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [swapper:1]',
                 'rcu: INFO: rcu_preempt self-detected stall on CPU', '[9.9] rcu: INFO: rcu_sched detected stalls on CPUs/tasks:',
                 'INFO: task init:1 blocked for more than 120 seconds.', 'PANIC: early exception 0x0e IP 10:ffffffff81000000',
                 'VFS: Unable to mount root fs on unknown-block(0,0)'):
        verdict(1, f'x\n{line}\n---[ end Kernel panic\n', '--expect', 'never', line='the kernel reported a crash: .*')
        verdict(0, f'{line}\ngood\n', '--no-oops', '--expect', 'good')
        verdict(0, f'{line}\ngood\n', '--allow', re.escape(line[-20:]), '--expect', 'good')
    for line in ('WARNING: CPU: 0 PID: 1 at kernel/fork.c:1', '[ 1.2] UBSAN: array-index-out-of-bounds'):
        verdict(0, f'{line}\ngood\n', '--expect', 'good')
        verdict(1, f'{line}\ngood\n', '--expect', 'good', '--fail-on-warning')
    # What is not the kernel's.
    verdict(0, 'a HTTP BUG: x\ntraps: a[1] general protection fault ip:1 sp:2 error:0 in a[1+2]\nno Oops: x\ngood\n',
            '--expect', 'good')


def tale():
    """What a kernel says of its crash is shown, up to its last line."""
    out, _ = verdict(1, f'{CRASH}\nCall Trace:\n---[ end Kernel panic - not syncing: x ]---\nmore\n', '-p', 'hang')
    assert b'---[ end Kernel panic - not syncing: x ]---' in out, out


def virtio_consoles():
    """Each console is looked through for itself, across its pieces."""
    for piece in 1, 5, 4096:
        verdict(0, 'one\nfound here\n' * 3, '-p', f'hang hvc piece={piece}', '--console', 'virtio', '--expect', '^found here$')
    text = b'x' * (1 << 20) + b'END\nnext\n'
    verdict(0, text, '-p', 'hang hvc piece=65536', '--console', 'virtio', '--expect', 'xxEND$', '--expect', '^next$', '-q')
    port = f'other,file={path("port")},console'
    verdict(0, 'there\n', '-p', 'hang hvc', '--port', port, '--expect', '^there$')
    with open(path('port'), 'rb') as f:
        same(f.read().strip(b'\0'), b'there\n')  # an initrd is padded


def input_is_left():
    """A loop over a list on standard input goes on after a test."""
    with open(path('list'), 'wb') as f:
        f.write(b'next line\n')
    script = f'{" ".join(command("exit", "-p", "poweroff"))} >/dev/null 2>&1; cat'
    with open(path('list'), 'rb') as f:
        same(subprocess.run(['sh', '-c', script], stdin=f, capture_output=True, timeout=LIMIT, check=True).stdout, b'next line\n')


HOSTILE = b'a \x01<&">\' \x1b[31m]]> \xff\xfe \xe2\x80\xae \xef\xbf\xbf # SKIP \\ \x0b\n'


def junit():
    report = path('junit.xml')
    _, err = verdict(1, HOSTILE + b'\nFAIL <b>&"\n', '--expect', 'a .*SKIP', '--expect', 'n<e>&"ver', '--fail', 'FAIL <b>',
                     '--report', f'junit={report}', '-p', 'exit=0 mark=7')
    suites = xml.parse(report).getroot()
    suite = suites.find('testsuite')
    same((suites.tag, suite.get('tests'), suite.get('failures'), suite.get('errors')), ('testsuites', '5', '2', '0'))
    cases = {case.get('name'): case.find('failure') for case in suite.iter('testcase')}
    same(list(cases), ['expect: a .*SKIP', 'expect: n<e>&"ver', 'fail: FAIL <b>', 'the kernel does not crash',
                       'the test comes to its end'])
    assert cases['expect: a .*SKIP'] is None and cases['the kernel does not crash'] is None
    same(cases['fail: FAIL <b>'].text, 'FAIL <b>&"')
    marks = {p.get('name'): int(p.get('value')) for p in suite.iter('property')}
    assert 0 < marks['boot.guest'] <= marks['boot.mark.7'] <= marks['boot.console'] <= marks['boot.end'], marks
    same(marks['status'], 1)
    assert 'FAIL <b>&"' in suite.find('system-out').text and ']]>' in suite.find('system-out').text
    assert f"guest={marks['boot.guest']}" in err, err


def json_report():
    out, err = verdict(0, HOSTILE + b'good\n', '--expect', 'good', '--report', 'json')
    got = json.loads(out)  # the console went to standard error
    same((got['version'], got['verdict'], got['status'], got['crash'], got['fail']), (1, 'passed', 0, None, []))
    same((got['expect'][0]['pattern'], got['expect'][0]['seen']), ('good', True))
    assert [m['mark'] for m in got['boot_time']] == ['exec', 'guest', 'console', 'end'], got['boot_time']
    assert 'good' in err and '# SKIP' in got['console'], (err, got)
    got = json.loads(verdict(1, CRASH + '\n', '--report', 'json=-', '--log', path('log'))[0])
    same((got['verdict'], got['crash']['line']), ('failed', CRASH))
    with open(path('log'), encoding='ascii') as f:
        same(f.read().strip('\0'), CRASH + '\n')


def tap():
    got, _ = verdict(1, HOSTILE, '--expect', 'a .*# SKIP', '--expect', '# TODO no', '-p', 'exit=0', '--report', 'tap')
    with open(path('tap'), 'wb') as f:
        f.write(got)
    done = subprocess.run(['prove', '-v', '-e', 'cat', path('tap')], capture_output=True, timeout=LIMIT, check=False, text=True)
    assert done.returncode and 'Failed 2/4 subtests' in done.stdout and 'Parse errors' not in done.stdout, done.stdout
    got, _ = verdict(0, 'good\n', '--expect', 'good', '--report', 'tap')
    with open(path('tap'), 'wb') as f:
        f.write(got)
    subprocess.run(['prove', '-e', 'cat', path('tap')], capture_output=True, timeout=LIMIT, check=True)


def interrupted():
    """A signal ends it as any other lkvm, and the report tells."""
    for sig in signal.SIGTERM, signal.SIGINT:
        with open(path('text'), 'wb') as f:
            f.write(b'up\n')
        vm = Vm(command('say', '-i', path('text'), '-p', 'hang', '--expect', 'never', '--timeout', '0', '--report',
                        f'json={path("json")}'))
        vm.expect('up')
        vm.proc.send_signal(sig)
        same(vm.end(), -sig)
        with open(path('json'), encoding='utf-8') as f:
            got = json.load(f)
        same((got['verdict'], got['status'], got['expect'][0]['seen']), ('interrupted', 128 + sig, False))


def usage():
    for args, word in ((['--expect', 'a('], "has a '(' without its ')'"), (['--fail', ''], 'everywhere'),
                       (['--expect', 'a\\1'], 'back-reference'), (['--allow', '[z-a]'], 'backwards'),
                       (['--report', 'xml'], 'junit, json, tap'), (['--report', 'tap', '--report', 'json'], 'another report'),
                       (['--report', 'tap='], 'the name is empty'), (['--fail-on-warning', '--no-oops'], 'omit one'),
                       (['--timeout', 'soon'], 'is not a number')):
        status, out, err = says('x', *args)
        assert status == 2 and word in err and err.count('\n') == 1 and not out, (args, status, err)


def files():
    """What cannot be written is said, before the guest runs where that is known."""
    for args in ['--report', f'junit={path("no/such")}'], ['--log', path('no/such')]:
        status, out, err = says('x\n', '-p', 'exit=0', *args)
        assert status == 1 and 'cannot' in err and args[0] in err and not out, (status, err)
    if not os.path.exists('/dev/full'):
        raise Skip('no /dev/full')
    for args in ['--report', 'tap=/dev/full'], ['--log', '/dev/full']:
        status, _, err = says('x\n', '-p', 'exit=0', *args)
        assert status == 1 and 'No space left' in err and args[0] in err, (status, err)
    # Nothing is left of a report that could not be written whole.
    if os.geteuid() == 0 and shutil.which('unshare'):
        script = f'mount -t tmpfs -o size=4k none {tmp.name}/small && head -c 4096 /dev/zero >{tmp.name}/small/x; "$@"; ' \
                 f's=$?; ls {tmp.name}/small; exit $s'
        os.makedirs(path('small'), exist_ok=True)
        with open(path('text'), 'wb') as f:
            f.write(b'y' * 8192 + b'\n')
        done = subprocess.run(['unshare', '-m', 'sh', '-c', script, 'sh',
                               *command('say', '-i', path('text'), '-p', 'hvc exit=0', '--console', 'virtio', '-q', '--timeout', '0',
                                        '--report', f'tap={tmp.name}/small/report', '--expect', 'z')],
                              capture_output=True, timeout=LIMIT, check=False, text=True)
        assert done.returncode == 1 and 'No space left' in done.stderr and done.stdout == 'x\n', done


def not_started():
    """A machine that does not start is a test that failed, and its report says so."""
    status, out, _ = smoke('--report', 'json', '-i', path('nosuch'))
    got = json.loads(out)
    same((status, got['verdict'], got['status']), (1, 'error', 1))


def configuration():
    with open(path('config'), 'w', encoding='ascii') as f:
        f.write('params = exit=0\ncpus = 2\n')
    done = subprocess.run([LKVM, 'smoke', '--config', path('config'), '-k', f'{command("say")[-3]}', '--kernel-format', 'flat'],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT, check=False)
    same(done.returncode, 0)


def boot_time():
    """`lkvm run` tells the times of a boot too, if it is asked, and however little it is to say else."""
    with open(path('text'), 'wb') as f:
        f.write(b'[    0.5] Run /init as init process\n')
    for env in os.environ, dict(os.environ, LKVM_RELEASE_ALL='1'):
        done = subprocess.run(guest('say', '-i', path('text'), '-p', 'mark=3', '--boot-time'), stdin=subprocess.DEVNULL, env=env,
                              capture_output=True, timeout=LIMIT, check=True, text=True)
        times = re.fullmatch(r'lkvm: info: boot time in ns: exec=0 guest=(\d+) mark.3=(\d+) console=(\d+) init=(\d+) '
                             r'mark.4=(\d+) end=(\d+)\n', done.stderr)
        assert times, done.stderr
        assert list(map(int, times.groups())) == sorted(map(int, times.groups())), done.stderr
        assert 'Run /init' in done.stdout, done.stdout


def others_marks():
    """Firecracker's boot timer and POST codes, where they are asked for; PCI devices make room."""
    def marks(*args):
        got = json.loads(verdict(0, 'up\n', '-p', 'hang hvc timer post=0x41', '--console', 'virtio', '--expect', 'up', '--report', 'json',
                                 *args)[0])
        return [m['mark'] for m in got['boot_time']]

    same(marks(), ['exec', 'guest', 'console', 'end'])
    for transport in 'pci', 'mmio':
        same(marks('--boot-timer', '--post-codes', '--virtio-transport', transport),
             ['exec', 'guest', 'boot-timer', 'post.0x41', 'console', 'end'])


main([
    ('what is expected is seen', passes),
    ('nothing is expected: the guest is to end', without_expect),
    ('what must not be seen, and what is missing', fails),
    ('until the end', until_end),
    ('reboots', reboots),
    ('the time is over', times_out),
    ('crashes of Linux are known, and may be allowed', crashes),
    ('a crash is told to its end', tale),
    ('virtio consoles', virtio_consoles),
    ('standard input is left alone', input_is_left),
    ('a report for JUnit', junit),
    ('a report in JSON', json_report),
    ('a report in TAP', tap),
    ('signals', interrupted),
    ('wrong usage', usage),
    ('files that cannot be written', files),
    ('a machine that does not start', not_started),
    ('the options of a machine', configuration),
    ('the times of a boot', boot_time),
    ("others' marks", others_marks),
])
