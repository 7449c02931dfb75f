/* SPDX-License-Identifier: MIT */
/*
 * The contract between lkvm and the init that it gives to Linux guests (guest/init): the files of
 * the small initramfs that lkvm makes (rootfs/), which holds that init as /init. Names alone: the
 * guest's program includes this too.
 *
 * Every file but GUEST_INIT_MODULES is a list of entries that each end with a NUL byte, so nothing
 * in them needs quoting; an entry that is empty has nothing but the NUL. The files are lkvm's own,
 * there is nothing hostile in them, but what is unknown is ignored.
 */
#ifndef LKVM_GUEST_INIT_H
#define LKVM_GUEST_INIT_H

#define GUEST_INIT_PATH "/init"
/* The room for the rest, in the initramfs. */
#define GUEST_INIT_DIR "/lkvm"

/*
 * Modules to load, one name of a file in the initramfs a line, in the order of loading (what a
 * module depends on is before it). Missing or empty: none. A name that ends in ".xz", ".gz" or
 * ".zst" is still packed: finit_module with MODULE_INIT_COMPRESSED_FILE. What is loaded already
 * (EEXIST) is fine, and so is one whose device is not there (ENODEV).
 */
#define GUEST_INIT_MODULES "/lkvm/modules"

/* The command's argv, an entry each. Missing or empty: a shell on the console. */
#define GUEST_INIT_COMMAND "/lkvm/command"

/* Entries NAME=VALUE, with the names below; the order of different names means nothing. */
#define GUEST_INIT_CONF "/lkvm/init.conf"

/*
 * The root file system: a type for mount(2), "9p" or "virtiofs", with the source (a share's tag)
 * and the data for mount(2); or "initramfs": the root is what the initramfs holds below /, and
 * nothing is mounted over it.
 */
#define INIT_CONF_ROOT	  "root" /* 9p, virtiofs, initramfs */
#define INIT_CONF_SOURCE  "source"
#define INIT_CONF_OPTIONS "options"
/*
 * How: "overlay" mounts it read-only and a tmpfs over it by overlayfs, which takes what is written;
 * "ro" leaves it read-only, with tmpfs on /tmp, /run and /var/tmp; "rw" writes through.
 */
#define INIT_CONF_MODE "mode"
/* Told in addition, in one line, when mounting the root fails: a cause that lkvm thinks likely. */
#define INIT_CONF_HINT "hint"

/*
 * A program of the guest's root that becomes process 1 in place of this init, once the root, /proc,
 * /sys and /dev are mounted: the root's own init, asked for by the kernel parameter init=. No shell
 * or command then.
 */
#define INIT_CONF_INIT "init"

/* The directory to begin in, in the guest's root; where it is not there a command fails and a shell
 * begins in /. */
#define INIT_CONF_DIR	   "dir"
#define INIT_CONF_HOSTNAME "hostname"
/* A variable of the environment, "env=TERM=xterm"; any number. Without PATH and HOME: init's own.
 */
#define INIT_CONF_ENV "env"
/* A shell to try, a path in the guest's root; any number, before those that init knows. */
#define INIT_CONF_SHELL "shell"
/*
 * Who carries a shell's streams: "link" (a port of virtio-console, guest-link.h; also where nothing
 * is said), or "console", where the kernel has no driver for the former. Those of a command are
 * always the link's.
 */
#define INIT_CONF_STREAMS "streams"
/* "COLUMNS ROWS" of the host's terminal at the start, for a console that does not know its size. */
#define INIT_CONF_WINSIZE "winsize"
/*
 * Another share to mount in the new root: "TYPE SOURCE OPTIONS DIRECTORY", parted by one blank
 * each, of which only the last may hold more; any number, in this order. The directory is made
 * where the root can be written, and it is no failure but a line where it is not there.
 */
#define INIT_CONF_MOUNT "mount"
/*
 * Whoever watches the console wants to see all there: the command's output is the console and its
 * input is empty, there is no link, and no shell where there is no command. What ends with another
 * status than 0 is told by INIT_FAILED and the number.
 */
#define INIT_CONF_CONSOLE "console"
#define INIT_FAILED	  "failed with status "
/* What each line of init's on the console begins with. */
#define INIT_SAYS "lkvm init: "
/*
 * For those who try init without a machine: the number of a descriptor that is the link
 * (guest-link.h) instead of the machine's port. The root may be "bind" then: @source is a
 * directory.
 */
#define INIT_CONF_LINK "link"

#endif
