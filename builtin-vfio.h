/* SPDX-License-Identifier: MIT */
/* `lkvm vfio`: between its table (builtin-vfio.c) and the file of each subcommand. */
#ifndef LKVM_BUILTIN_VFIO_H
#define LKVM_BUILTIN_VFIO_H

#include "lkvm/types.h"

/* What the options of all subcommands fill. */
struct vfio_args {
	bool json;
	bool verbose;
	bool force, group; /* bind, unbind */
	char *driver;	   /* bind; NULL: vfio-pci */
	char *uuid;	   /* mdev create; NULL: any */
};

/*
 * A subcommand: @words are the @nr words after its name, @args the options, of which none was given
 * that its row in the table does not list. Prints what is wrong; the exit status.
 */
typedef int vfio_command_fn(const struct vfio_args *args, int nr, char **words);

vfio_command_fn vfio_command_list;			/* builtin-vfio-list.c */
vfio_command_fn vfio_command_bind, vfio_command_unbind; /* builtin-vfio-bind.c */
vfio_command_fn vfio_command_mdev;			/* builtin-vfio-mdev.c */
vfio_command_fn vfio_command_state;			/* builtin-vfio-state.c */

#endif
